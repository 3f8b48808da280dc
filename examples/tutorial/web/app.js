// The browser keeps the tokens where no script can read them, and sends them by itself. What is left to do is one header.

const $ = id => document.getElementById(id)

// The CSRF token is the one cookie of ours that script may read. On https its name begins with __Host-.
const csrfToken = () => document.cookie.match(/(?:^|; )(?:__Host-)?csrftoken=([^;]*)/)?.[1] ?? ''

async function call(method, path, body, type = 'application/json') {
  const headers = method === 'GET' ? {} : { 'X-CSRFToken': csrfToken() }
  if (body !== undefined) headers['Content-Type'] = type
  const answer = await fetch(path, { method, headers, body })
  const data = await answer.json()
  if (!answer.ok) throw data // an RFC 9457 problem: code, action, detail
  return data
}

let user // whose note is shown
let typing // who has changed it and not saved: it stays, even if they have to sign in again in between

// Whether somebody is signed in is the server's to say: it alone can read the cookies.
async function show() {
  const session = await call('GET', '/auth/session')
  $('sign-in').hidden = session.authenticated
  $('page').hidden = !session.authenticated
  if (!session.authenticated) return
  $('name').textContent = session.user.username
  user = session.user.id
  if (typing === user) return
  $('page').elements.note.value = (await call('GET', '/api/note')).note
  typing = undefined
}

// handle runs what a button does, says how it went, and shows the page as it is then.
async function handle(work, done) {
  try {
    await work()
    $('message').textContent = done
  } catch (problem) {
    $('message').textContent = problem.detail ?? 'The server does not answer.'
    if (problem.action !== 'login') return // "login" is the one answer after which nobody is signed in
  }
  await show()
}

$('sign-in').addEventListener('submit', event => {
  event.preventDefault()
  const { username, password } = Object.fromEntries(new FormData(event.target))
  event.target.elements.password.value = ''
  handle(() => call('POST', '/auth/login', JSON.stringify({ username, password })), '')
})

$('page').addEventListener('input', () => { typing = user })

$('page').addEventListener('submit', event => {
  event.preventDefault()
  const { note } = event.target.elements
  const text = note.value
  handle(async () => {
    await call('PUT', '/api/note', text, 'text/plain')
    if (note.value === text) typing = undefined
  }, 'Saved.')
})

$('sign-out').addEventListener('click', () => handle(async () => {
  await call('POST', '/auth/logout')
  typing = undefined
  $('page').reset()
}, 'Signed out.'))

show()
