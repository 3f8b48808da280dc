/**
 * What the client takes from the page or worker it runs in, and nothing from anywhere else. A place without a location, such as
 * a server that renders pages, has no other tabs: neither channel nor lock nor timer is used there, so that the requests it
 * serves at the same time never hear of each other.
 */
export interface Host {
  fetch: typeof fetch
  location?: { readonly href: string; readonly origin: string } | undefined
  document?: { readonly cookie: string; readonly baseURI: string; readonly hidden: boolean } | undefined
  navigator?: { readonly onLine?: boolean; readonly locks?: Pick<LockManager, 'request'> } | undefined
  BroadcastChannel?: (new (name: string) => Channel) | undefined
  addEventListener?(type: string, listener: (event: PageEvent) => void, until: { signal: AbortSignal }): void
}

/** The part of a BroadcastChannel that is used. */
export interface Channel {
  onmessage: ((event: { data: unknown }) => void) | null
  postMessage(message: unknown): void
  close(): void
}

/** The part of an event that is looked at. */
export interface PageEvent {
  readonly type: string
  readonly persisted?: boolean
}
