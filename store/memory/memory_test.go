package memory_test

import (
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/store/memory"
	"github.com/tokenjar/tokenjar/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
		return memory.New(memory.Config{Now: now})
	})
}
