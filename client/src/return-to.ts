/**
 * Where to go after signing in: what `next` in the address names, if that is a page of this origin, or else its front page. With
 * the origin, since a path may still begin with `//` ("/.//evil.example").
 *
 * @example
 * location.assign(returnTo(location.search))
 */
export function returnTo(search: string, here: string = location.origin): string {
  const next = new URLSearchParams(search).get('next') ?? '/'
  // One slash and no second of either kind; no blank or line end, which browsers drop before they look for slashes.
  if (!/^\/(?![/\\])[!-~]*$/.test(next)) return here + '/'
  const page = new URL(next, here)
  return page.origin === here ? page.href : here + '/'
}
