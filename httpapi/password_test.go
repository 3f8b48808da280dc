package httpapi_test

import (
	"fmt"
)

func passwords(old, new string) string {
	return fmt.Sprintf(`{"old_password":%q,"new_password":%q}`, old, new)
}
