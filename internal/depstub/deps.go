package depstub

import (
	_ "github.com/santhosh-tekuri/jsonschema/v6"
	_ "github.com/spf13/cobra/doc"
)
