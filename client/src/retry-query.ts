import { AuthError } from './error.js'

/**
 * Says whether a query is worth another try: for `retry` of TanStack Query and its like. What the user, the program or the
 * operator has to put right is not; three tries for the rest.
 *
 * @example
 * new QueryClient({ defaultOptions: { queries: { retry: retryQuery } } })
 */
export function retryQuery(failures: number, error: unknown): boolean {
  if (failures >= 3 || !(error instanceof AuthError)) return failures < 3
  const { code, problem } = error
  return problem ? problem.action === 'retry' : code !== 'session_ended' && code !== 'body_not_replayable'
}
