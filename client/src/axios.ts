import { CanceledError, getAdapter, type AxiosInstance, type AxiosResponse } from 'axios'
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
    const request = {
      url: instance.getUri(config),
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
      const { data } = response
      if (data instanceof Blob) return JSON.parse(await data.text())
      if (data instanceof ArrayBuffer) return JSON.parse(new TextDecoder().decode(data))
      return typeof data === 'string' ? JSON.parse(data) : data
    },
  }
}
