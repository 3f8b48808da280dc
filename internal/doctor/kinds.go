package doctor

// The findings there are. docs/howto/cookies-not-set.md explains each by its name, and a test compares the two.
const (
	kindCertificate = "certificate"
	kindNoAPI       = "no-api"
	kindHost        = "host"
	kindPublicURL   = "public-url"
	kindProto       = "forwarded-proto"
	kindNotReady    = "not-ready"
	kindHealth      = "health-hidden"
	kindKeys        = "jwks"
	kindKeysCache   = "jwks-cache"

	kindScheme     = "scheme"
	kindPlainHTTP  = "http-served"
	kindMethodLost = "redirect-method"
	kindSlash      = "redirect-slash"
	kindPost       = "post-refused"
	kindHSTS       = "hsts"
	kindLocalHSTS  = "hsts-localhost"

	kindNoSetCookie = "set-cookie-removed"
	kindLocal       = "cookie-localhost"
	kindPrefix      = "cookie-prefix"
	kindDomain      = "cookie-domain"
	kindSameSite    = "cookie-samesite"
	kindPath        = "cookie-path"
	kindFlags       = "cookie-flags"
	kindUnreadable  = "csrf-cookie-hidden"
	kindSize        = "cookie-size"
	kindTwice       = "cookie-twice"
	kindStays       = "cookie-stays"
	kindAdded       = "cookie-added"

	kindNoCookie     = "cookie-removed"
	kindNoCSRF       = "csrf-header-removed"
	kindNoOrigin     = "origin-removed"
	kindRequestSize  = "request-too-large"
	kindAnswerSize   = "answer-too-large"
	kindCached       = "cached"
	kindCacheControl = "cache-control"
	kindClock        = "clock"

	kindOtherSite   = "other-site"
	kindThirdParty  = "third-party"
	kindPreflight   = "cors-preflight"
	kindCORSOrigin  = "cors-origin"
	kindCredentials = "cors-credentials"
	kindCORSHeaders = "cors-headers"
	kindExposed     = "cors-exposed"
	kindCORSTwice   = "cors-twice"
	kindTrusted     = "origin-not-trusted"

	kindLost  = "session-lost"
	kindNodes = "nodes-differ"
)

// A Kind is what is common to all findings of one name. In Setting and Nginx, {url}, {host} and {origin} stand for what was
// examined.
type Kind struct {
	Name  string
	Title string
	Why   string // a browser does not accept it
	Fix   string
	// Setting is the line of tokenjar.yaml, "" where it is none of ours.
	Setting string
	// Nginx are the directives of a location, or of a server with InServer, "" where it is nothing of nginx'.
	Nginx    string
	InServer bool
	// Note says that it breaks nothing by itself.
	Note bool
}

const ownCORS = "Remove the CORS headers of the proxy (in nginx its add_header Access-Control-…): tokenjar sends them for the origins that it is told."

// Kinds returns all there are, in the order of the page.
func Kinds() []Kind { return kinds }

var kinds = []Kind{
	{Name: kindCertificate, Title: "browsers do not accept the certificate", InServer: true,
		Why: "A page whose certificate is refused is not opened, and fetch fails before anything is sent.",
		Fix: "Install a certificate for this host, with the chain up to a public CA, and renew it in time.",
		Nginx: "ssl_certificate /etc/ssl/{host}.pem; " +
			"ssl_certificate_key /etc/ssl/{host}.key;"},
	{Name: kindNoAPI, Title: "the sign-in routes are not there",
		Why:     "What answers is not tokenjar, so nobody sets or reads a session's cookies.",
		Fix:     "Pass the path on as it is: no path behind the address in proxy_pass, no rewrite. If auth.path is not /auth, say --auth-path.",
		Setting: "auth: {path: /auth}", Nginx: "proxy_pass http://127.0.0.1:8080;"},
	{Name: kindHost, Title: "the proxy replaces the Host header",
		Why:   "tokenjar does not answer for a host that browsers do not know: every request is 421.",
		Fix:   "Have the proxy pass on the host that the browser asked for ($http_host where the port is an unusual one).",
		Nginx: "proxy_set_header Host $host;"},
	{Name: kindPublicURL, Title: "public_url is another address",
		Why: "Names and attributes of the cookies and the one origin that may write come from public_url. Under another address " +
			"browsers refuse the cookies or are refused: 421 or 403 origin_not_allowed.",
		Fix: "Set public_url to the address in the browser's address bar, scheme and port included; or open the one that it names.", Setting: "public_url: {url}"},
	{Name: kindProto, Title: "the proxy says that browsers come by plain http",
		Why:   "Over plain http Secure cookies are not sent, so tokenjar refuses such a request: 421.",
		Fix:   "Have the proxy that ends TLS set X-Forwarded-Proto; a proxy behind it has to pass that on, not to set its own.",
		Nginx: "proxy_set_header X-Forwarded-Proto $scheme;"},
	{Name: kindNotReady, Title: "the server is not ready",
		Why: "Without its database it can neither sign in nor refresh: 503.",
		Fix: "Look at the server's log: the line of this request has the cause."},
	{Name: kindHealth, Title: "the proxy hides /readyz or /healthz", Note: true, InServer: true,
		Why: "No browser needs it. Whether the server is ready cannot be seen from here, nor by a balancer or monitor that asks here.",
		Fix: "Nothing, if that is meant; a 404 (in nginx return 404 and not 444) tells it from a server that has crashed. Else pass " +
			"/readyz and /healthz on.",
		Nginx: "location = /readyz { proxy_pass http://127.0.0.1:8080; }"},
	{Name: kindKeys, Title: "the public keys are not there", InServer: true,
		Why:   "Services that verify access tokens answer 401 to every request when they cannot get the keys.",
		Fix:   "Pass /.well-known/jwks.json on to tokenjar.",
		Nginx: "location = /.well-known/jwks.json { proxy_pass http://127.0.0.1:8080; }"},
	{Name: kindKeysCache, Title: "the public keys are kept for too long, or not at all",
		Why: "New keys are published some minutes before they sign. A service that keeps old ones longer than it is told answers " +
			"401 after a rotation; one that may not keep them asks for every request.",
		Fix: "Leave Cache-Control of /.well-known/jwks.json as tokenjar sends it.", Nginx: "expires off;"},

	{Name: kindScheme, Title: "Secure cookies over plain http", InServer: true,
		Why:     "Browsers neither store nor send Secure cookies over plain http, nor those whose names begin with __Host- or __Secure-.",
		Fix:     "Open the page by https and let TLS end in front of tokenjar. On one's own machine: no public_url, or an http one of localhost.",
		Setting: "public_url: https://{host}",
		Nginx:   "return 308 https://{host}$request_uri;"},
	{Name: kindPlainHTTP, Title: "plain http is served, and leads nowhere", InServer: true,
		Why:   "Who opens the page by http:// stays there, and Secure cookies are not sent: signed in by https, signed out by http.",
		Fix:   "Have port 80 redirect to https, with the method kept.",
		Nginx: "return 308 https://{host}$request_uri;"},
	{Name: kindMethodLost, Title: "the redirect to https loses the method", InServer: true,
		Why:   "After 301, 302 and 303 browsers turn a POST into a GET without a body: the sign-in becomes 405.",
		Fix:   "Redirect with 308.",
		Nginx: "return 308 https://{host}$request_uri;"},
	{Name: kindSlash, Title: "a slash at the end is redirected", InServer: true,
		Why: "A POST becomes a GET after 301 and 302, and no preflight may be redirected at all. tokenjar answers with and without the slash.",
		Fix: "Remove the rewrite, or the location whose path ends in a slash while its requests do not.",
		Nginx: "location /auth { proxy_pass http://127.0.0.1:8080; " +
			"proxy_set_header Host $host; }"},
	{Name: kindPost, Title: "POST does not reach the server",
		Why:   "Sign-in, refresh and sign-out are POST. What refuses or drops them in front of tokenjar sets no cookie.",
		Fix:   "Allow POST under the path of the sign-in routes, in the proxy, CDN or firewall in front.",
		Nginx: "proxy_pass http://127.0.0.1:8080;"},
	{Name: kindHSTS, Title: "Strict-Transport-Security is missing",
		Why:   "Without it the first request of a visit may go by plain http, where it has no cookies and can be read.",
		Fix:   "Leave the header as tokenjar sends it, or set one of yours.",
		Nginx: "proxy_pass_header Strict-Transport-Security;"},
	{Name: kindLocalHSTS, Title: "every program on localhost has to speak https from now on", Note: true,
		Why: "Strict-Transport-Security holds for a host on all its ports. Once Safari has seen it here, it opens http://localhost no more, " +
			"whatever runs there.",
		Fix:     "Serve https on this machine under a name of its own (in /etc/hosts, where it is not known), and delete what the browser keeps of localhost.",
		Setting: "public_url: https://app.localhost"},

	{Name: kindNoSetCookie, Title: "the proxy removes Set-Cookie",
		Why:   "The browser is never given the cookies: sign-in answers 200, and the next request is 401.",
		Fix:   "Remove proxy_hide_header Set-Cookie, or the cache or CDN rule that strips it.",
		Nginx: "proxy_pass_header Set-Cookie;"},
	{Name: kindLocal, Title: "Safari keeps no Secure cookies of plain http, of localhost neither",
		Why: "Chrome and Firefox make an exception of this machine, Safari makes none: there sign-in answers 200, and the next request is " +
			"401. tokenjar's own cookies have neither Secure nor a prefix at an http address of localhost, so somebody has added it, or " +
			"public_url is an https address.",
		Fix:   "Set public_url to the http address, or leave it out, and let nobody change Set-Cookie on its way. Or open the page by https.",
		Nginx: "proxy_cookie_flags off;"},
	{Name: kindPrefix, Title: "the cookies break the rule of their names' prefix",
		Why:     "Browsers refuse a __Host- cookie unless it is Secure, has Path=/ and no Domain, and a __Secure- cookie unless it is Secure.",
		Fix:     "Let nobody change Set-Cookie on its way. Where the cookies must have a Domain, tokenjar chooses the prefix for it.",
		Setting: "cookies: {prefix: auto}", Nginx: "proxy_cookie_path off; proxy_cookie_domain off; proxy_cookie_flags off;"},
	{Name: kindDomain, Title: "the cookies' Domain does not cover the host",
		Why:     "A host can set cookies for itself and the domains above it, not for others and not for a public suffix.",
		Fix:     "Leave the domain out; the cookies are the host's then.",
		Setting: `cookies: {domain: ""}`, Nginx: "proxy_cookie_domain off;"},
	{Name: kindSameSite, Title: "SameSite is missing or cannot be",
		Why:     "SameSite=None without Secure is refused. Without the attribute each browser has a rule of its own.",
		Fix:     "Let nobody change Set-Cookie on its way.",
		Setting: "cookies: {same_site: Lax}", Nginx: "proxy_cookie_flags off;"},
	{Name: kindPath, Title: "the cookies have another path",
		Why:   "Browsers send them with requests below that path alone; elsewhere every request is 401.",
		Fix:   "Let nobody change Set-Cookie on its way.",
		Nginx: "proxy_cookie_path off;"},
	{Name: kindFlags, Title: "HttpOnly or Secure is missing",
		Why:   "Scripts, or whoever listens on the network, can read the tokens.",
		Fix:   "Let nobody change Set-Cookie on its way.",
		Nginx: "proxy_cookie_flags off;"},
	{Name: kindUnreadable, Title: "scripts cannot read the CSRF cookie",
		Why:   "A page that takes X-CSRFToken from the cookie finds none: everything that changes something is 403 csrf_failed (missing).",
		Fix:   "Let nobody add HttpOnly to all cookies. The tokens have it anyway.",
		Nginx: "proxy_cookie_flags off;"},
	{Name: kindSize, Title: "a cookie is larger than 4096 bytes",
		Why: "Browsers ignore it without a word: sign-in answers 200, and the next request is 401.",
		Fix: "Put fewer claims into tokens; look up what is long. tokenjar issues none so large, so something else made it larger."},
	{Name: kindTwice, Title: "one cookie is set twice",
		Why:     "The browser keeps both when their path or domain differ and sends both: an old one hides the new one, or they are of two users, 401.",
		Fix:     "Let one alone set cookies of these names, and list the scope of the other, so that sign-in and sign-out delete it there.",
		Setting: "cookies: {legacy_scopes: [/auth]}", Nginx: "proxy_cookie_path off; proxy_cookie_domain off;"},
	{Name: kindStays, Title: "signing out leaves cookies behind",
		Why:   "A deletion counts for the same name, path and domain alone. What is left is sent on, beside the cookies of the next sign-in.",
		Fix:   "Have Set-Cookie changed in no answer, or in all alike.",
		Nginx: "proxy_cookie_path off; proxy_cookie_domain off;"},
	{Name: kindAdded, Title: "something in front sets cookies of its own", Note: true,
		Why: "They take part of the header's room, and a cookie in every answer keeps some caches from keeping anything. tokenjar needs no sticky sessions.",
		Fix: "Turn it off if nothing needs it."},

	{Name: kindNoCookie, Title: "the proxy removes Cookie",
		Why:   "The browser sends the cookies and tokenjar does not get them: every request is 401 not_authenticated.",
		Fix:   "Have the proxy or CDN pass on Cookie. A CDN often does so only where it may not cache.",
		Nginx: "proxy_set_header Cookie $http_cookie;"},
	{Name: kindNoCSRF, Title: "the proxy removes X-CSRFToken",
		Why:   "Every request that changes something is 403 csrf_failed (missing).",
		Fix:   "Have the proxy, CDN or firewall pass the header on.",
		Nginx: "proxy_set_header X-CSRFToken $http_x_csrftoken;"},
	{Name: kindNoOrigin, Title: "the proxy removes or replaces Origin and Sec-Fetch-Site",
		Why:   "Requests of other sites' pages cannot be told from your own: one of the two rules against CSRF is out of work.",
		Fix:   "Pass both headers on as the browser sends them.",
		Nginx: "proxy_set_header Origin $http_origin; proxy_set_header Sec-Fetch-Site $http_sec_fetch_site;"},
	{Name: kindRequestSize, Title: "the proxy refuses a header as large as two tokens", InServer: true,
		Why:   "Signed out everything works; with the cookies every request is 400 or 431, in the proxy's HTML.",
		Fix:   "Raise the limit to 16k a line.",
		Nginx: "large_client_header_buffers 8 16k;"},
	{Name: kindAnswerSize, Title: "the proxy refuses an answer with three cookies",
		Why:   "Sign-in is carried out and answered 502: the browser gets no cookies.",
		Fix:   "Raise the buffer for the header of an answer.",
		Nginx: "proxy_buffers 8 16k; proxy_buffer_size 16k;"},
	{Name: kindCached, Title: "answers are kept by a cache",
		Why:   "The browser is told how it was a while ago, or who somebody else is: signed in and shown as signed out, or the other way round.",
		Fix:   "No cache for what tokenjar answers, unless it says public.",
		Nginx: "proxy_cache off;"},
	{Name: kindCacheControl, Title: "Cache-Control: no-store is removed",
		Why:   "Caches on the way and the browser's own may keep an answer with cookies in it, and give it to somebody else.",
		Fix:   "Leave Cache-Control as tokenjar sends it.",
		Nginx: "expires off;"},
	{Name: kindClock, Title: "clocks differ",
		Why: "Tokens begin and end by the server's clock. Where nodes, services or browsers have another time, a new token is " +
			"401 token_expired or not valid yet.",
		Fix: "Set the clocks by NTP, on the server, the proxy and this machine."},

	{Name: kindOtherSite, Title: "page and API are different sites",
		Why: "SameSite=Lax cookies do not go with requests that a page of another site makes, and are not stored from their answers.",
		Fix: "Best serve the API on the page's site: a path, or a host below the same domain. Else SameSite=None, which many browsers " +
			"block all the same.",
		Setting: "cookies: {same_site: None}"},
	{Name: kindThirdParty, Title: "the cookies are third-party cookies", Note: true,
		Why: "Page and API are different sites. Safari and Firefox block or split such cookies whatever SameSite says, others may.",
		Fix: "Serve the API on the page's site."},
	{Name: kindPreflight, Title: "the preflight is refused",
		Why:   "Before a POST with JSON or X-CSRFToken to another origin the browser asks with OPTIONS, without cookies. Any answer but 2xx ends it there.",
		Fix:   "Pass OPTIONS on to tokenjar: no sign-in of the proxy and no redirect before it.",
		Nginx: "auth_basic off;"},
	{Name: kindCORSOrigin, Title: "the page's origin may not read",
		Why:     "Without Access-Control-Allow-Origin naming exactly the page's origin the browser hides the answer; * does not do with cookies.",
		Fix:     "List the origin. If it is listed, something removes the header.",
		Setting: "cors: {allowed_origins: [{origin}]}"},
	{Name: kindCredentials, Title: "Access-Control-Allow-Credentials is missing",
		Why: "With credentials: 'include' the browser hides an answer without it, and drops its cookies.",
		Fix: ownCORS, Setting: "cors: {allowed_origins: [{origin}]}"},
	{Name: kindCORSHeaders, Title: "the preflight does not allow what the page sends",
		Why: "The browser does not send the request unless the method and each of its headers, Content-Type and X-CSRFToken, are allowed.",
		Fix: ownCORS, Setting: "cors: {allowed_origins: [{origin}]}"},
	{Name: kindExposed, Title: "scripts cannot read our headers",
		Why: "X-Tokenjar-Problem says that a 401 is ours and the session can be refreshed. A page that cannot read it signs people out for nothing.",
		Fix: ownCORS, Setting: "cors: {allowed_origins: [{origin}]}"},
	{Name: kindCORSTwice, Title: "CORS headers are sent twice",
		Why: "Two values of Access-Control-Allow-Origin or -Credentials are none: the browser hides the answer.",
		Fix: ownCORS},
	{Name: kindTrusted, Title: "the page's origin may not write",
		Why:     "CORS lets a page read. Sign-in, refresh and sign-out from another origin need a right of their own: else 403 origin_not_allowed.",
		Fix:     "List the origin.",
		Setting: "csrf: {trusted_origins: [{origin}]}"},

	{Name: kindLost, Title: "a step of the session failed",
		Why: "The browser has sent what it was given, and it was not accepted, or not answered.",
		Fix: "Look the code up in docs/reference/errors.md, and the request in the server's log. Where there is no answer, look at " +
			"what stands in front."},
	{Name: kindNodes, Title: "some nodes do not know the session",
		Why:     "Requests go to several nodes, and one of them has another secret or database: sometimes 200, sometimes 401.",
		Fix:     "Give all nodes the same secret and the same PostgreSQL.",
		Setting: "database: postgres://tokenjar@db.example.com/tokenjar"},
}

func kindOf(name string) *Kind {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i]
		}
	}
	panic("doctor: no kind " + name) // a test has each of them found
}
