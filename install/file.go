package install

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFile bounds a configuration, in bytes: a larger one is some other file.
const maxFile = 64 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return text, err
}

// followed is the file that a path leads to: many keep their configurations elsewhere, with links to them.
func followed(path string) (string, error) {
	to, err := filepath.EvalSymlinks(path)
	if err == nil {
		return to, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, err := os.Lstat(path); err == nil {
		return "", errors.New("it is a link to a file that is not there")
	}
	return path, nil
}

// backups are the copies that Apply has made of a file, oldest first.
func backups(file string) []string {
	folder, base := filepath.Split(file)
	entries, _ := os.ReadDir(folder) // a folder that is not there has none
	var all []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), base+backupMark) && strings.HasSuffix(e.Name(), backupEnd) {
			all = append(all, filepath.Join(folder, e.Name()))
		}
	}
	slices.Sort(all)
	return all
}

const (
	backupMark = ".before-heffl-mcp-"
	backupEnd  = ".bak"
	backupTime = "20060102T150405.000000000" // of UTC, so that names sort by time
)

// Apply makes the edit, all or nothing. It fails where the file is not any more as it was when the edit was planned. Before it
// changes a file it writes a copy beside it, whose path it returns; a copy that the edit brings back is gone after it.
// Permissions stay, and links are followed. A new file, or one that gets a key, is its user's alone.
func (e *Edit) Apply() (backup string, err error) {
	if !e.Changes() {
		return "", nil
	}
	if err := e.same(); err != nil {
		return "", fmt.Errorf("%s cannot be written: %w", e.Path, bare(err))
	}
	folder := filepath.Dir(e.file)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("%s cannot be written: %w", e.Path, bare(err))
	}
	if e.Before != nil && e.After != nil && e.restores == "" {
		backup = e.file + backupMark + e.now().UTC().Format(backupTime) + backupEnd
		if err := e.write(backup, e.Before, func() error { return e.absent(backup) }); err != nil {
			return "", fmt.Errorf("no copy of %s can be written, so it was left as it is: %w", e.Path, bare(err))
		}
	}
	if e.After == nil {
		if err = e.same(); err == nil {
			err = os.Remove(e.file)
		}
	} else {
		err = e.write(e.file, e.After, e.same)
	}
	if err != nil {
		if backup != "" {
			_ = os.Remove(backup) // of a file that was not changed
		}
		return "", fmt.Errorf("%s cannot be written: %w", e.Path, bare(err))
	}
	if e.restores != "" {
		_ = os.Remove(e.restores) // one copy too many at worst
	}
	return backup, nil
}

// same fails where the file is not what the edit was planned for.
func (e *Edit) same() error {
	now, err := readFile(e.file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.Before == nil:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil || e.Before == nil || !bytes.Equal(now, e.Before):
		return errors.New("it was changed by another program meanwhile; close the client and run this again")
	}
	return nil
}

func (e *Edit) absent(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	return nil
}

// write puts a file into its place at once, once all of it is on disk, if it still may.
func (e *Edit) write(path string, text []byte, may func() error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".heffl-mcp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if e.Before != nil {
		if err := keepOwner(e.file, f); err != nil {
			return err
		}
		if err := f.Chmod(e.mode); err != nil {
			return err
		}
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := e.sync(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := may(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		_ = e.sync(d) // where folders can be
		_ = d.Close()
	}
	return nil
}
