import { returnTo } from '@tokenjar/client'

/** Where to go after signing in, as a path for the router: only to a page of ours, whatever the address says. */
export function returnPath(search: string): string {
  const path = returnTo(search).slice(location.origin.length)
  return path.startsWith('//') ? '/' : path // a router may take it for another host ("/.//evil.example")
}
