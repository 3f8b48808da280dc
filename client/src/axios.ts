import { CanceledError, getAdapter, type AxiosInstance, type AxiosResponse, type InternalAxiosRequestConfig } from 'axios'
import type { Answer, Auth } from './auth.js'

declare module 'axios' {
  export interface AxiosRequestConfig {
    /** Wait while the user signs in again, instead of failing with 401. */
    park?: boolean
    /** No user is behind this request: it does not keep the session from going idle. */
    passive?: boolean
  }
}

interface Taken extends Answer {
  readonly response: AxiosResponse
  /** What axios makes of the answer, when its status is none that it takes for good. */
  readonly error: unknown
}

/**
 * Makes an axios instance send its requests as `auth.fetch` does, and returns it. It works below the interceptors, which see each
 * request and each answer once, however often it was sent.
 *
 * @example
 * const api = withAuth(axios.create({ baseURL: '/api' }), auth)
 * const { data } = await api.get('/orders')
 */
export function withAuth(instance: AxiosInstance, auth: Pick<Auth, 'guard'>): AxiosInstance {
  const configured = instance.defaults.adapter
  instance.defaults.adapter = async (config) => {
    // Looked up for each request, as axios does: which adapter it is may depend on the request.
    const adapter = getAdapter(configured, config)
    const { data, method, park, passive } = config
    const signal = config.signal as AbortSignal | undefined
    const url = absolute(instance.getUri(config))
    const request = {
      url,
      method: method?.toUpperCase(),
      // A stream that has been read, of a browser or of Node.
      replayable: !(data instanceof ReadableStream) && typeof data?.pipe !== 'function',
      park,
      passive,
      signal,
    }
    try {
      const { response, error } = await auth.guard(request, async (headers): Promise<Taken> => {
        const attempt = { ...config }
        if (headers) {
          attempt.headers = config.headers.concat(headers)
          attempt.withCredentials = config.withCredentials ?? true
          attempt.withXSRFToken = false // axios would look for a token of its own
          if (headers['X-CSRFToken']) keep(attempt, new URL(url).origin)
        }
        try {
          return take(await adapter(attempt))
        } catch (error) {
          const { response } = error as { response?: AxiosResponse }
          if (!response) throw error
          return take(response, error)
        }
      })
      if (error) throw error
      return response
    } catch (error) {
      throw signal?.aborted ? new CanceledError(undefined, config) : error
    }
  }
  return instance
}

function take(response: AxiosResponse, error?: unknown): Taken {
  return {
    response,
    error,
    status: response.status,
    headers: { get: (name) => (response.headers[name.toLowerCase()] as string | undefined) ?? null },
    // Below the interceptors the body is still as it came: a text, or whatever the request asked for.
    async json() {
      let { data } = response
      if (data instanceof Response) return data.clone().json()
      if (data instanceof ReadableStream) [data, response.data] = data.tee()
      // A stream of Node's can be read once, and that is for the caller to do.
      else if (typeof data?.pipe === 'function') return {}
      return Object.getPrototypeOf(data) === Object.prototype ? data : new Response(data).json()
    },
  }
}

/** The address that the adapter will send to: axios knows nothing of the client's `baseUrl`. */
function absolute(url: string): string {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href
  } catch {
    return url // the adapter will say what is wrong with it
  }
}

/** Keeps a token from following a redirect to another origin, as far as the adapter has a say: XMLHttpRequest has none. */
function keep(config: InternalAxiosRequestConfig, origin: string): void {
  const { beforeRedirect } = config
  config.fetchOptions = { ...(origin === globalThis.location?.origin ? { mode: 'same-origin' } : { redirect: 'error' }), ...config.fetchOptions }
  config.beforeRedirect = (options, ...rest) => {
    if (new URL(options['href']).origin !== origin) delete options['headers']['X-CSRFToken']
    beforeRedirect?.(options, ...rest)
  }
}
