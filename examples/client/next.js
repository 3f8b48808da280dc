// returnTo is where to go after signing in: what "next" in the address names, if that is a page of ours.
export function returnTo(search, here = location.origin) {
  const next = new URLSearchParams(search).get('next') ?? '/'
  // One slash and no second of either kind; no blank or line end, which browsers drop before they look for slashes.
  if (!/^\/(?![/\\])[!-~]*$/.test(next)) return here + '/'
  const page = new URL(next, here)
  return page.origin === here ? page.href : here + '/' // with the origin: a path may still begin with // ("/.//evil.example")
}
