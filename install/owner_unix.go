//go:build unix

package install

import (
	"os"
	"syscall"
)

// keepOwner gives a file the owner and group of the one that it replaces, which are another's when an administrator installs for a user.
func keepOwner(of string, f *os.File) error {
	there, err := os.Stat(of)
	if err != nil {
		return err
	}
	made, err := f.Stat()
	if err != nil {
		return err
	}
	want, ok := there.Sys().(*syscall.Stat_t)
	got, ok2 := made.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || want.Uid == got.Uid && want.Gid == got.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
