const $ = id => document.getElementById(id)
const csrfToken = () => document.cookie.match(/(?:^|; )(?:__Host-)?csrftoken=([^;]*)/)?.[1] ?? ''

const post = (path, body) => fetch(path, {
  method: 'POST', body, headers: { 'X-CSRFToken': csrfToken(), ...(body && { 'Content-Type': 'application/json' }) },
})

async function show() {
  const { authenticated } = await (await fetch('/auth/session')).json()
  $('sign-in').hidden = authenticated
  $('order').hidden = !authenticated
}

$('sign-in').addEventListener('submit', async event => {
  event.preventDefault()
  const answer = await post('/auth/login', JSON.stringify(Object.fromEntries(new FormData(event.target))))
  $('message').textContent = answer.ok ? '' : (await answer.json()).detail
  show()
})

$('order').addEventListener('click', async () => {
  const answer = await post('/api/orders')
  // A refusal of ours has this header; without it the answer, whatever its status, is the service's.
  const problem = answer.headers.get('X-Tokenjar-Problem')
  $('message').textContent = problem ? (await answer.json()).detail : await answer.text()
  if (answer.status === 401 && problem) show()
})

show()
