package keys

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/zalando/go-keyring"
)

// service is what keyrings show the entries as.
const service = "heffl-mcp"

type systemRing struct{}

// System is the operating system's keyring: the Keychain of macOS, the Credential Manager of Windows, the Secret Service of other systems
// (GNOME Keyring, KWallet). It is nil where there is none to ask: without a session bus, the library would start one.
func System(getenv func(string) string) Ring {
	if runtime.GOOS != "darwin" && runtime.GOOS != "windows" && getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		// Clients start servers with little of the environment, so the bus is looked for where it commonly is.
		if _, err := os.Stat("/run/user/" + strconv.Itoa(os.Getuid()) + "/bus"); err != nil {
			return nil
		}
	}
	return systemRing{}
}

func (systemRing) Get(address string) (string, error) {
	key, err := keyring.Get(service, address)
	return key, none(err)
}

func (systemRing) Set(address, key string) error {
	err := keyring.Set(service, address, key)
	if errors.Is(none(err), ErrNone) {
		return errors.New("nothing on the D-Bus session bus keeps keys")
	}
	return err
}

func (systemRing) Delete(address string) error { return none(keyring.Delete(service, address)) }

// none says that a keyring has no key, or that there is a bus and no keyring on it, which it says in these words alone: its error's type
// would link D-Bus where there is none.
func none(err error) error {
	if errors.Is(err, keyring.ErrNotFound) || err != nil && strings.Contains(err.Error(), "was not provided by any .service files") {
		return ErrNone
	}
	return err
}
