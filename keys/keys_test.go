package keys

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zalando/go-keyring"
)

const (
	heffl = "https://api.heffl.com/api/v2"
	other = "http://127.0.0.1:8099/api/v2"
)

// A fake keeps keys, or fails, or never answers.
type fake struct {
	keys map[string]string
	err  error
	hang chan struct{}
}

func (f *fake) wait() error {
	if f.hang != nil {
		<-f.hang
	}
	return f.err
}

func (f *fake) Get(address string) (string, error) {
	if err := f.wait(); err != nil {
		return "", err
	}
	key, ok := f.keys[address]
	if !ok {
		return "", ErrNone
	}
	return key, nil
}

func (f *fake) Set(address, key string) error {
	err := f.wait()
	if err == nil {
		f.keys[address] = key
	}
	return err
}

func (f *fake) Delete(address string) error {
	_, err := f.Get(address)
	delete(f.keys, address)
	return err
}

// TestStore holds that a key is found again by its address alone, until it is deleted.
func TestStore(t *testing.T) {
	keyring.MockInit() // the operating system's stays alone
	for name, ring := range map[string]Ring{"the system's": systemRing{}, "one": &fake{keys: map[string]string{}}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s := &Store{Ring: ring, Folder: filepath.Join(t.TempDir(), "a", "b")}
			want := Keyring
			if ring == nil {
				want = s.file(heffl)
			}
			if _, _, err := s.Get(ctx, heffl); !errors.Is(err, ErrNone) {
				t.Errorf("Get() of nothing = %v, want ErrNone", err)
			}
			for _, key := range []string{"hk_old", `hk+"<new>"&/\'`} {
				if where, why, err := s.Set(ctx, heffl, key); where != want || why != nil || err != nil {
					t.Errorf("Set() = %q, %v, %v; want %q", where, why, err, want)
				}
				if got, where, err := s.Get(ctx, heffl); got != key || where != want || err != nil {
					t.Errorf("Get() = %q, %q, %v; want %q, %q", got, where, err, key, want)
				}
			}
			if _, _, err := s.Get(ctx, other); !errors.Is(err, ErrNone) {
				t.Errorf("Get() for another address = %v, want ErrNone", err)
			}
			if ring == nil && runtime.GOOS != "windows" {
				info, err := os.Stat(want)
				if err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("the file: %v, %v; want 0600", info, err)
				}
				if folder, err := os.Stat(s.Folder); err != nil || folder.Mode().Perm() != 0o700 {
					t.Errorf("its folder: %v, %v; want 0700", folder, err)
				}
			}
			for _, wants := range [][]string{{want}, nil} {
				if where, err := s.Delete(ctx, heffl); err != nil || !cmp.Equal(where, wants) {
					t.Errorf("Delete() = %q, %v; want %q", where, err, wants)
				}
			}
			if _, _, err := s.Get(ctx, heffl); !errors.Is(err, ErrNone) {
				t.Errorf("Get() after Delete() = %v, want ErrNone", err)
			}
		})
	}
}

// TestBrokenRing holds that a key goes into a file where the keyring fails, and that no error shows it.
func TestBrokenRing(t *testing.T) {
	t.Parallel()
	const key = "hk_secret"
	ring := &fake{err: errors.New("no place for " + key), keys: map[string]string{}}
	s := &Store{Ring: ring, Folder: t.TempDir()}
	where, why, err := s.Set(t.Context(), heffl, key)
	if where != s.file(heffl) || why == nil || strings.Contains(why.Error(), key) || err != nil {
		t.Errorf("Set() = %q, %v, %v; want the file, and why without the key", where, why, err)
	}
	if got, _, err := s.Get(t.Context(), heffl); got != key || err != nil {
		t.Errorf("Get() = %q, %v; want %q", got, err, key)
	}
	if where, err := s.Delete(t.Context(), heffl); err == nil || len(where) != 1 {
		t.Errorf("Delete() = %q, %v; want the file, and an error of the keyring", where, err)
	}
	if _, _, err := s.Get(t.Context(), heffl); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("Get() = %v, want an error: the keyring may have one", err)
	}

	if where, _, err := s.Set(t.Context(), heffl, key); where != s.file(heffl) || err != nil {
		t.Errorf("Set() = %q, %v; want the file", where, err)
	}
	ring.err = nil
	if where, _, err := s.Set(t.Context(), heffl, key); where != Keyring || err != nil {
		t.Errorf("Set() = %q, %v; want the keyring", where, err)
	}
	if entries, err := os.ReadDir(s.Folder); len(entries) != 0 || err != nil {
		t.Errorf("%v, %v are left, want nothing", entries, err)
	}
	if where, why, err := (&Store{}).Set(t.Context(), heffl, key); err == nil {
		t.Errorf("Set() without any place = %q, %v, nil; want an error", where, why)
	}
}

// TestSilentRing holds that a keyring which never answers is waited for within a bound.
func TestSilentRing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ring := &fake{hang: make(chan struct{}), keys: map[string]string{}}
		defer close(ring.hang) // the bubble waits for who was given up
		s := &Store{Ring: ring, Folder: t.TempDir()}
		began := time.Now()
		if _, _, err := s.Get(t.Context(), heffl); err == nil || !strings.Contains(err.Error(), "did not answer within 5s") {
			t.Errorf("Get() = %v, want an error", err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("Get() took %s, want 5s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := s.Get(ctx, heffl); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get() = %v, want the context's error", err)
		}
	})
}

// TestFiles holds that a file that holds no key is said to be one.
func TestFiles(t *testing.T) {
	t.Parallel()
	s := &Store{Folder: t.TempDir()}
	for what, text := range map[string]string{"empty": " \n", "large": strings.Repeat("x", maxKey+1)} {
		if err := os.WriteFile(s.file(heffl), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Get(t.Context(), heffl); err == nil || !strings.Contains(err.Error(), "holds no key") {
			t.Errorf("Get() with one that is %s = %v, want an error", what, err)
		}
	}
}

// TestSystem holds that no bus is started where there is none.
func TestSystem(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the others have a keyring always")
	}
	if _, err := os.Stat("/run/user/" + strconv.Itoa(os.Getuid()) + "/bus"); err == nil {
		t.Skip("there is a bus")
	}
	if ring := System(func(string) string { return "" }); ring != nil {
		t.Errorf("System() without a bus = %v, want nil", ring)
	}
	if ring := System(func(string) string { return "unix:path=/x" }); ring == nil {
		t.Error("System() with a bus = nil")
	}
}

// TestNone holds which answers of a system's keyring say that it has no key.
func TestNone(t *testing.T) {
	t.Parallel()
	broken := errors.New("failed to unlock correct collection '/org/freedesktop/secrets/aliases/default'")
	for _, c := range []struct{ err, want error }{
		{nil, nil}, {keyring.ErrNotFound, ErrNone}, {errors.New("The name org.freedesktop.secrets was not provided by any .service files"), ErrNone}, {broken, broken},
	} {
		if got := none(c.err); !errors.Is(got, c.want) {
			t.Errorf("none(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}
