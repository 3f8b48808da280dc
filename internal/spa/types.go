package spa

import (
	"path"
	"strings"
)

// What files are. The machine's own table is not asked: it differs from one to the next, and with nosniff a script of the
// wrong type is no script.

// A kind is how files of one extension are served.
type kind struct {
	mime     string
	compress bool
}

const htmlType = "text/html; charset=utf-8"

var kinds = map[string]kind{
	".html": {htmlType, true}, ".htm": {htmlType, true},
	".js": {"text/javascript; charset=utf-8", true}, ".mjs": {"text/javascript; charset=utf-8", true},
	".cjs":  {"text/javascript; charset=utf-8", true},
	".css":  {"text/css; charset=utf-8", true},
	".json": {"application/json", true}, ".map": {"application/json", true}, ".webmanifest": {"application/manifest+json", true},
	".geojson": {"application/geo+json", true}, ".jsonld": {"application/ld+json", true},
	".txt": {"text/plain; charset=utf-8", true}, ".md": {"text/markdown; charset=utf-8", true}, ".csv": {"text/csv; charset=utf-8", true},
	".vtt": {"text/vtt; charset=utf-8", true}, ".xml": {"application/xml", true}, ".rss": {"application/rss+xml", true},
	".atom": {"application/atom+xml", true}, ".wasm": {"application/wasm", true}, ".pdf": {"application/pdf", false},
	".svg": {"image/svg+xml", true}, ".ico": {"image/x-icon", true}, ".bmp": {"image/bmp", true},
	".png": {"image/png", false}, ".jpg": {"image/jpeg", false}, ".jpeg": {"image/jpeg", false}, ".gif": {"image/gif", false},
	".webp": {"image/webp", false}, ".avif": {"image/avif", false}, ".jxl": {"image/jxl", false}, ".apng": {"image/apng", false},
	".ttf": {"font/ttf", true}, ".otf": {"font/otf", true}, ".eot": {"application/vnd.ms-fontobject", true},
	".woff": {"font/woff", false}, ".woff2": {"font/woff2", false},
	".mp4": {"video/mp4", false}, ".webm": {"video/webm", false}, ".ogv": {"video/ogg", false}, ".mov": {"video/quicktime", false},
	".mp3": {"audio/mpeg", false}, ".m4a": {"audio/mp4", false}, ".ogg": {"audio/ogg", false}, ".opus": {"audio/ogg", false},
	".wav": {"audio/wav", false}, ".flac": {"audio/flac", false}, ".weba": {"audio/webm", false}, ".aac": {"audio/aac", false},
	".glb": {"model/gltf-binary", true}, ".gltf": {"model/gltf+json", true},
	".zip": {"application/zip", false}, ".gz": {"application/gzip", false}, ".zst": {"application/zstd", false},
	".br": {"application/octet-stream", false},
}

// kindOf returns how a file is served. What is not known is saved by browsers rather than shown.
func kindOf(name string) kind {
	if name == ".well-known/apple-app-site-association" { // has no extension, and is asked for as JSON
		return kind{"application/json", true}
	}
	if k, ok := kinds[extension(name)]; ok {
		return k
	}
	return kind{mime: "application/octet-stream"}
}

func extension(name string) string { return strings.ToLower(path.Ext(path.Base(name))) }
