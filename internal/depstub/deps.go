package depstub

import (
	_ "github.com/prometheus/client_golang/prometheus"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/client_golang/prometheus/testutil"
	_ "github.com/prometheus/client_golang/prometheus/collectors"
	_ "github.com/prometheus/common/expfmt"
	_ "github.com/rs/cors"
	_ "github.com/santhosh-tekuri/jsonschema/v6"
	_ "github.com/spf13/cobra/doc"
	_ "github.com/throttled/throttled/v2"
	_ "github.com/throttled/throttled/v2/store/memstore"
	_ "golang.org/x/net/netutil"
)
