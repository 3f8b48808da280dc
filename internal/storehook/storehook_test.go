package storehook_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/tokenjar/tokenjar/internal/storehook"
	"github.com/tokenjar/tokenjar/store/memory"
)

// A method that the embedded store answered by itself would be a call that no test can hold or fail.
func TestEveryMethodOfAStoreGoesThroughTheHook(t *testing.T) {
	refused := errors.New("refused")
	var called string
	s := &storehook.Store{All: memory.New(memory.Config{}), Around: func(_ context.Context, call string, _ func(context.Context) error) error {
		called = call
		return refused
	}}
	methods := reflect.TypeFor[storehook.All]()
	if methods.NumMethod() < 22 {
		t.Fatalf("a store has %d methods: is this still its form?", methods.NumMethod())
	}
	for m := range methods.Methods() {
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for i := 1; i < m.Type.NumIn(); i++ {
			args = append(args, reflect.Zero(m.Type.In(i)))
		}
		called = ""
		results := reflect.ValueOf(s).MethodByName(m.Name).Call(args)
		if err := results[len(results)-1].Interface(); called != m.Name || err != refused {
			t.Errorf("%s: the hook was told of %q, and the caller got %v", m.Name, called, err)
		}
	}
}
