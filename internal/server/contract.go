package server

// Contract returns the OpenAPI document that is served at /openapi.json.
func (s *Server) Contract() []byte { return s.main().api.OpenAPI() }
