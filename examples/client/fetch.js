// The CSRF token is the one cookie of ours that script may read. On https its name begins with __Host-.
const csrfToken = () => document.cookie.match(/(?:^|; )(?:__Host-)?csrftoken=([^;]*)/)?.[1] ?? ''

// send is fetch with the header that requests need which change something. For your own paths only.
function send(path, init = {}) {
  const headers = new Headers(init.headers)
  if (!['GET', 'HEAD'].includes(init.method ?? 'GET')) headers.set('X-CSRFToken', csrfToken())
  return fetch(path, { ...init, headers })
}

let refreshing // one refresh for all who wait for it

// api is send, and where sessions are not renewed on the way it refreshes once and tries again.
export async function api(path, init) {
  const answer = await send(path, init)
  if (answer.status !== 401 || !answer.headers.has('X-Tokenjar-Problem')) return answer // a 401 of somebody else's
  if ((await answer.clone().json()).action !== 'refresh') return answer
  refreshing ??= send('/auth/token/refresh', { method: 'POST' }).finally(() => { refreshing = undefined })
  return (await refreshing).ok ? send(path, init) : answer
}
