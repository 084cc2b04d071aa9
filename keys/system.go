package keys

import (
	"errors"
	"os"
	"runtime"
	"strconv"

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

func (systemRing) Set(address, key string) error { return none(keyring.Set(service, address, key)) }

func (systemRing) Delete(address string) error { return none(keyring.Delete(service, address)) }

func none(err error) error {
	if errors.Is(err, keyring.ErrNotFound) {
		return ErrNone
	}
	return err
}
