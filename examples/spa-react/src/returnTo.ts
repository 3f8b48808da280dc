/** Where to go after signing in: only to a page of ours, whatever the address says (docs/howto/spa.md). */
export function returnTo(next: string | null): string {
  // One slash and no second of either kind; no blank or line end, which browsers drop before they look for slashes.
  if (!next || !/^\/(?![/\\])[!-~]*$/.test(next)) return '/'
  const { origin, pathname, search, hash } = new URL(next, location.origin)
  // A path may still begin with two slashes ("/.//evil.example").
  return origin === location.origin && !pathname.startsWith('//') ? pathname + search + hash : '/'
}
