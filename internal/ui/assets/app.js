// The page of tokenjar. It knows the session only by asking for it: the tokens are in cookies that no script can read.
//
// Rules it keeps:
//   - Nothing is stored: no localStorage, no sessionStorage, no cookie of its own.
//   - Only a 401 that carries X-Tokenjar-Problem means "signed out". A network error or a 503 never does.
//   - An answer that arrives after the view changed is thrown away, so nobody's data appears on somebody else's page.
//   - What others wrote goes into the page as text, never as markup.

const root = document.documentElement;
const auth = root.dataset.auth;
const csrfCookie = root.dataset.csrfCookie;
const sampleAPI = root.dataset.sampleApi ?? '';

const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

/** A refusal: the problem document of the answer (RFC 9457), or what we know without one. */
class Problem extends Error {
  constructor(response, body) {
    super(body.detail || body.title || `The server answered ${response.status}.`);
    this.status = response.status;
    this.code = body.code ?? '';
    this.requestID = body.request_id ?? response.headers.get('X-Request-Id') ?? '';
    this.fields = Array.isArray(body.errors) ? body.errors : [];
    this.retryAfter = Number(response.headers.get('Retry-After')) || 0;
    this.ours = response.headers.has('X-Tokenjar-Problem');
    this.answer = body;
  }

  /** Whether this says that the session is over, as opposed to "wrong password" or an upstream's own 401. */
  get endsSession() {
    return this.status === 401 && this.ours && this.code !== 'invalid_credentials';
  }
}

/** No answer at all. */
class Unreachable extends Error {
  constructor() {
    super('The server cannot be reached. Your session is kept.');
  }
}

const seen = { requests: 0, setCookie: 0 };
let underWay = 0; // requests without an answer yet

/**
 * Sends one request as JSON and returns {status, body, response}; throws Problem or Unreachable.
 *
 * Unsafe methods carry the CSRF token unless csrf is false. When the server says the token does not fit, it is fetched
 * anew and the request is sent once more: another tab may have signed in again since.
 */
async function call(method, path, { body, csrf = true } = {}) {
  const unsafe = method !== 'GET';
  let token = unsafe && csrf ? readCSRF() : '';
  if (unsafe && csrf && !token && view === 'in') token = await fetchCSRF();
  try {
    return await send(method, path, body, token);
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'csrf_failed' || !csrf || view !== 'in') throw error;
    return send(method, path, body, await fetchCSRF());
  }
}

async function send(method, path, body, token) {
  const headers = { Accept: 'application/json' };
  if (token) headers['X-CSRFToken'] = token;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  let text;
  underWay += 1;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: 'same-origin',
      cache: 'no-store',
    });
    text = await response.text();
  } catch {
    writeLog(method, path, null);
    throw new Unreachable();
  } finally {
    underWay -= 1;
  }
  skew(response);
  writeLog(method, path, response);
  let parsed = null;
  try {
    parsed = text === '' ? null : JSON.parse(text);
  } catch {
    parsed = text; // an upstream may answer anything
  }
  if (!response.ok) throw new Problem(response, parsed !== null && typeof parsed === 'object' ? parsed : {});
  return { status: response.status, body: parsed, response };
}

function readCookies() {
  return document.cookie
    .split('; ')
    .filter(Boolean)
    .map((pair) => {
      const at = pair.indexOf('=');
      return at < 0 ? { name: '', value: pair } : { name: pair.slice(0, at), value: pair.slice(at + 1) };
    });
}

function readCSRF() {
  return readCookies().find((cookie) => cookie.name === csrfCookie)?.value ?? '';
}

async function fetchCSRF() {
  const { body } = await send('GET', `${auth}/csrf`);
  return body.csrf_token;
}

// ---------------------------------------------------------------------------------------------------------------------
// Views: unknown → out | in. While unknown neither is shown, so nothing flashes.
// ---------------------------------------------------------------------------------------------------------------------

let view = 'unknown';
let era = 0; // moves with every change of view or user; answers of an earlier era are dropped
let user = null;

const others = 'BroadcastChannel' in window ? new BroadcastChannel('tokenjar') : null;

function show(next) {
  if (view !== next) era += 1;
  view = next;
  root.dataset.view = next;
  $('view-unknown').hidden = next !== 'unknown';
  $('view-out').hidden = next !== 'out';
  $('view-in').hidden = next !== 'in';
  $('account-bar').hidden = next !== 'in';
}

function enter(answer) {
  if (user && user.id !== answer.user.id) {
    era += 1;
    life = null;
    wipe();
  }
  const arriving = view !== 'in';
  show('in');
  setUser(answer.user);
  setLife(answer);
  peek();
  if (arriving) loadSessions();
}

/** Ends the signed-in view here. reason is a sentence for the visitor, or nothing when they asked for it themselves. */
function leave(reason) {
  const before = view;
  if (before === 'out' && !reason) return;
  user = null;
  life = null;
  wipe();
  show('out');
  say($('entry-reason'), reason ?? '', reason ? 'honey' : '');
  if (before === 'out') return;
  if (before === 'in') resetForm(); // on arrival it may hold what a password manager has filled in
  const idle = document.activeElement === null || document.activeElement === document.body;
  if (idle && matchMedia('(hover: hover)').matches) $('identity').focus({ preventScroll: true });
}

function resetForm() {
  $('sign-in').reset();
  revealPassword(false);
  clearProblem($('sign-in'));
}

/** Removes everything personal from the document, not only from sight. */
function wipe() {
  for (const id of ['who-name', 'who-initials', 'you-username', 'you-email', 'you-id', 'hello', 'api-body', 'api-what']) {
    if ($(id)) $(id).textContent = '';
  }
  for (const id of ['first-name', 'last-name']) $(id).value = '';
  $('log').replaceChildren();
  $('sessions').replaceChildren();
  $('sessions-empty').hidden = false;
  $('sessions-empty').textContent = 'Loading …';
  $('strip-tokens').replaceChildren();
  for (const id of ['life-note', 'sessions-note', 'names-note']) say($(id), '');
  clearProblem($('names'));
  tokens.length = 0;
  fullLife.access = fullLife.refresh = fullLife.created = 0;
  if (sampleAPI) showAnswer(null);
}

const reasons = {
  session_ended: 'Your session has ended. Please sign in again.',
  session_reused: 'An old copy of your session was used, so the session was ended to protect you. Please sign in again.',
  token_revoked: 'Your session was ended. Please sign in again.',
  not_authenticated: 'Please sign in to continue.',
};

let checks = 0;

/** Asks the server who is here. Never an error for the visitor's session: without an answer things stay as they are. */
async function check(reason) {
  const turn = ++checks;
  const started = era;
  let answer;
  try {
    ({ body: answer } = await send('GET', `${auth}/session`));
  } catch (error) {
    if (turn !== checks || started !== era) return;
    if (reason) return leave(reason);
    trouble(error, () => check());
    return;
  }
  if (turn !== checks || started !== era) return;
  calm();
  if (answer?.authenticated) {
    enter(answer);
  } else {
    leave(reason ?? (view === 'in' ? reasons.session_ended : undefined));
  }
}

/** Handles an error that belongs to no form. Returns the sentence to show beside what was tried, or ''. */
function handle(error, again) {
  if (error instanceof Problem && error.endsSession) {
    check(reasons[error.code] ?? reasons.session_ended);
    return '';
  }
  if (error instanceof Unreachable || error.status === 503) {
    trouble(error, again);
    return '';
  }
  if (!(error instanceof Problem)) throw error;
  return error.message;
}

let retry = null;

function trouble(error, again) {
  retry = again ?? (() => check());
  $('banner-text').textContent =
    error instanceof Problem && error.status === 503 ? `${sentence(error.message)} Please try again in a moment.` : error.message;
  $('banner-request').textContent = error.requestID ? `Request ${error.requestID}` : '';
  $('banner').hidden = false;
  $('waiting-text').textContent = 'No answer yet.';
}

function calm() {
  $('banner').hidden = true;
  retry = null;
}

// ---------------------------------------------------------------------------------------------------------------------
// Sign in, sign out
// ---------------------------------------------------------------------------------------------------------------------

/** The path in ?next=, or '' unless it can only mean a path of our own origin. */
function nextPath() {
  const value = new URLSearchParams(location.search).get('next') ?? '';
  if (!/^\/(?!\/)/.test(value) || /[\\\u0000-\u001f\u007f]/.test(value)) return '';
  let url;
  try {
    url = new URL(value, location.origin);
  } catch {
    return '';
  }
  // The path is judged as it will be followed: "/..//host" has become "//host" by now, which is another site. Nor is one
  // followed that the server refuses and that somebody may decode on the way.
  if (url.origin !== location.origin || /\/\/|^\/%2f|%5c|%[01]|%7f/i.test(url.pathname)) return '';
  return url.pathname === location.pathname ? '' : url.pathname + url.search + url.hash;
}

async function signIn() {
  const form = $('sign-in');
  const identity = $('identity').value.trim();
  const password = $('password').value;
  clearProblem(form);
  if (!identity) fieldError('identity', 'Enter your user name or e-mail.');
  if (!password) fieldError('password', 'Enter your password.');
  if (!identity || !password) {
    $(identity ? 'password' : 'identity').focus();
    return;
  }
  const body = { [identity.includes('@') ? 'email' : 'username']: identity, password };
  if ($('remember').checked) body.remember = true;
  try {
    const { body: answer } = await call('POST', `${auth}/login`, { body });
    $('password').value = '';
    revealPassword(false);
    calm();
    checks += 1; // a check under way knows less than this answer
    user = null;
    others?.postMessage('signed-in');
    const next = nextPath();
    if (next) {
      show('unknown');
      $('waiting-text').textContent = 'Signed in. One moment …';
      location.assign(next);
      return;
    }
    enter(answer);
    $('hello').focus();
  } catch (error) {
    if (error instanceof Unreachable) {
      showProblem(form, 'The server cannot be reached. Please check your connection and try again.');
      return;
    }
    if (!(error instanceof Problem)) throw error;
    let text = error.message;
    if (error.retryAfter) text = `${sentence(text)} Please try again in ${wait(error.retryAfter)}.`;
    showProblem(form, text, error, { username: 'identity', email: 'identity', password: 'password' });
    if (error.code === 'invalid_credentials') {
      $('password').focus();
      $('password').select();
    }
  }
}

async function signOut(everywhere) {
  const started = era;
  try {
    await call('POST', `${auth}/logout${everywhere ? '?all=true' : ''}`);
  } catch (error) {
    if (started !== era) return;
    if (handle(error, () => signOut(everywhere))) trouble(error, () => signOut(everywhere));
    return;
  }
  checks += 1;
  calm();
  others?.postMessage('signed-out');
  leave(everywhere ? 'You are signed out everywhere.' : 'You are signed out.');
  $('entry-title').focus();
  peek();
}

function revealPassword(on) {
  const toggle = $('password-toggle');
  $('password').type = on ? 'text' : 'password';
  toggle.setAttribute('aria-pressed', String(on));
  toggle.textContent = on ? 'Hide' : 'Show';
  toggle.setAttribute('aria-label', on ? 'Hide password' : 'Show password');
}

// ---------------------------------------------------------------------------------------------------------------------
// Who am I
// ---------------------------------------------------------------------------------------------------------------------

function setUser(next) {
  const before = user;
  user = next;
  const full = [user.first_name, user.last_name].filter(Boolean).join(' ');
  $('hello').textContent = `Hello, ${user.first_name || user.username}`;
  $('who-name').textContent = full || user.username;
  $('who-initials').textContent =
    ((user.first_name?.[0] ?? '') + (user.last_name?.[0] ?? '') || (user.username?.slice(0, 2) ?? '')).toUpperCase();
  $('you-username').textContent = user.username;
  $('you-email').textContent = user.email || 'none';
  $('you-verified').hidden = !(user.email && user.email_verified);
  $('you-id').textContent = user.id;
  // What is being typed is not overwritten by a look from another tab.
  for (const [id, key] of [['first-name', 'first_name'], ['last-name', 'last_name']]) {
    if (!before || $(id).value === (before[key] ?? '')) $(id).value = user[key] ?? '';
  }
}

async function whoAmI() {
  const started = era;
  try {
    const { body } = await call('GET', `${auth}/user`);
    if (started !== era) return;
    calm();
    setUser(body);
    say($('names-note'), `The server says: ${body.username}.`);
    await afterCall(`GET ${auth}/user`);
  } catch (error) {
    if (started !== era) return;
    say($('names-note'), handle(error, whoAmI), 'bad');
  }
}

async function saveNames() {
  const started = era;
  const form = $('names');
  clearProblem(form);
  say($('names-note'), '');
  const body = { first_name: $('first-name').value.trim(), last_name: $('last-name').value.trim() };
  try {
    const { body: saved } = await call('PATCH', `${auth}/user`, { body });
    if (started !== era) return;
    calm();
    $('first-name').value = body.first_name;
    $('last-name').value = body.last_name;
    user = { ...user, ...body };
    setUser(saved);
    say($('names-note'), 'Saved.');
    others?.postMessage('changed');
    await afterCall(`PATCH ${auth}/user`);
  } catch (error) {
    if (started !== era) return;
    const text = handle(error, saveNames);
    if (text) showProblem(form, text, error, { first_name: 'first-name', last_name: 'last-name' });
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Session life: two deadlines, by the server's clock
// ---------------------------------------------------------------------------------------------------------------------

let life = null; // { access, refresh: ms of this machine's clock, or null; accessText }
let ahead = 0; // server clock minus ours, in ms
const fullLife = { access: 0, refresh: 0, created: 0 }; // in ms; 0 is not known yet
const tokens = []; // the access tokens this page has seen: { from, to }
let rechecked = ''; // the deadline after which we have looked again

/** The Date header has whole seconds, so only a difference that cannot be rounding is believed. */
function skew(response) {
  const date = Date.parse(response.headers.get('Date') ?? '');
  if (!date) return;
  const measured = date + 500 - Date.now();
  if (Math.abs(measured - ahead) > 1500) ahead = measured;
}

/** Takes over the expirations of an answer. how names the request that has just renewed, if one did. */
function setLife(answer, how) {
  const now = Date.now();
  const text = answer.access_expiration ?? '';
  const previous = life;
  const renewed = previous !== null && text !== '' && text !== previous.accessText;
  let left = answer.access_expires_in ?? (text ? (Date.parse(text) - now - ahead) / 1000 : 0);
  if (Number.isInteger(left)) left += 0.999; // whole seconds are rounded down: never say too early that it has run out
  const end = text ? now + left * 1000 : null;
  life = {
    access: end,
    // A token that ran out is still the last one seen, so that the next one counts as a renewal.
    accessText: text || (previous?.accessText ?? ''),
    refresh: answer.refresh_expiration ? Date.parse(answer.refresh_expiration) - ahead : (previous?.refresh ?? null),
  };
  if (end !== null && (previous === null || renewed)) {
    if (renewed || left * 1000 > fullLife.access) fullLife.access = left * 1000;
    const last = tokens.at(-1);
    if (last && last.to > now) last.to = now;
    tokens.push({ from: now, to: end });
    if (tokens.length > 40) tokens.shift();
  }
  if (life.refresh !== null) fullLife.refresh = Math.max(fullLife.refresh, life.refresh - now);
  if (renewed) {
    $('jar').classList.remove('filled');
    requestAnimationFrame(() => $('jar').classList.add('filled'));
    const what = how ? `${how} renewed the access token on the way.` : 'The access token was renewed.';
    say($('life-note'), `${what} The new one lasts until ${clock(text)}.`, 'honey');
  }
  draw();
  return renewed;
}

/** After a call that may have renewed on the way, looks at the deadlines. Returns whether it did renew. */
async function afterCall(how) {
  const turn = ++checks;
  const started = era;
  try {
    const { body } = await send('GET', `${auth}/session`);
    if (turn !== checks || started !== era) return false;
    if (!body?.authenticated) {
      leave(reasons.session_ended);
      return false;
    }
    setUser(body.user);
    const renewed = setLife(body, how);
    if (renewed) others?.postMessage('renewed');
    return renewed;
  } catch {
    return false; // the call itself went well; the next look will tell
  }
}

async function renew() {
  const started = era;
  try {
    const { body } = await call('POST', `${auth}/token/refresh`);
    if (started !== era) return;
    calm();
    checks += 1;
    life.accessText = ''; // this is another token, even where it ends in the same second
    setLife(body);
    others?.postMessage('renewed');
    await loadSessions();
  } catch (error) {
    if (started !== era) return;
    say($('life-note'), handle(error, renew), 'bad');
  }
}

let announced = '';

function draw() {
  if (view !== 'in' || life === null) return;
  const now = Date.now();
  const accessLeft = life.access === null ? 0 : Math.max(0, life.access - now);
  const refreshLeft = life.refresh === null ? null : Math.max(0, life.refresh - now);
  const out = accessLeft <= 0;

  $('jar').dataset.state = out ? 'empty' : 'live';
  write('jar-time', out ? 'empty' : duration(accessLeft / 1000));
  write('jar-caption', out ? 'next call refills' : 'access token');
  write('access-time', out ? 'has run out' : duration(accessLeft / 1000));
  write('access-note', out ? 'The next call renews it on the way.' : `Until ${clock(life.accessText)}. Then the next call renews it.`);
  level('jar', accessLeft / (fullLife.access || 1));
  level('access-meter', accessLeft / (fullLife.access || 1), out ? 'has run out' : duration(accessLeft / 1000));
  const session = refreshLeft === null ? 'not known' : duration(refreshLeft / 1000);
  write('refresh-time', session);
  write('refresh-note', refreshLeft === null ? 'This session cannot renew itself.' : `Until ${moment(life.refresh + ahead)}. Renewals extend it.`);
  level('refresh-meter', refreshLeft === null ? 0 : refreshLeft / (fullLife.refresh || 1), session);
  drawStrip(now);

  // Screen readers hear the thresholds only, and none at all of tokens that live a few seconds.
  const long = fullLife.access > 60_000;
  const threshold = `${life.accessText} ${out ? 'out' : accessLeft < 30_000 ? 'soon' : 'live'}`;
  if (threshold !== announced) {
    announced = threshold;
    write('life-announce', !long || threshold.endsWith('live') ? '' : out ? 'The access token has run out. The next call renews it.' : 'The access token runs out in 30 seconds.');
  }

  // One look after each deadline: another tab may have renewed, or the session may be over. A call under way will tell.
  if (underWay === 0 && document.visibilityState === 'visible' && (out || refreshLeft === 0)) {
    const mark = `${life.accessText} ${refreshLeft === 0}`;
    if (mark !== rechecked && now - (life.access ?? 0) > 300) {
      rechecked = mark;
      check();
    }
  }
}

/** The last three lives of an access token and the one to come, with "now" at three quarters. */
function drawStrip(now) {
  const span = (fullLife.access || 300_000) * 4;
  const start = now - span * 0.75;
  const at = (time) => Math.min(100, Math.max(0, ((time - start) / span) * 100));
  const strip = $('strip-tokens');
  while (strip.children.length < tokens.length) {
    const block = document.createElement('span');
    block.className = 'strip-token';
    strip.append(block);
  }
  while (strip.children.length > tokens.length) strip.lastChild.remove();
  tokens.forEach((token, i) => {
    const block = strip.children[i];
    const left = at(token.from);
    block.style.left = `${left}%`;
    block.style.width = `calc(${at(token.to) - left}% - 2px)`;
    block.hidden = token.to < start;
  });
  const session = $('strip-session');
  session.style.left = `${fullLife.created ? at(fullLife.created) : 0}%`;
  session.style.right = `${100 - at(life.refresh ?? now)}%`;
}

function level(id, share, text) {
  const element = $(id);
  const bounded = Math.min(1, Math.max(0, share));
  const target = element.firstElementChild?.tagName === 'SPAN' ? element.firstElementChild : element;
  target.style.setProperty('--level', bounded.toFixed(4));
  if (text === undefined) return;
  element.setAttribute('aria-valuenow', String(Math.round(bounded * 100)));
  element.setAttribute('aria-valuetext', text);
}

// ---------------------------------------------------------------------------------------------------------------------
// The sample API
// ---------------------------------------------------------------------------------------------------------------------

async function callSample(method, csrf = true) {
  const started = era;
  const wasOut = life?.access === null || life?.access <= Date.now();
  const again = () => callSample(method, csrf);
  try {
    const { status, body } = await call(method, sampleAPI, { csrf });
    if (started !== era) return;
    calm();
    const facts = [['This page sent no token: no Authorization header, and it cannot read the cookies.']];
    facts.push(['The service behind got no cookie of the session either, but a token made for it alone, and verified it.']);
    if (method !== 'GET') facts.push(['The CSRF header proved that the request came from this page.']);
    const renewed = await afterCall(`${method} ${sampleAPI}`);
    if (started !== era) return;
    if (renewed) {
      const why = wasOut ? 'The access token had run out. ' : '';
      facts.push([`${why}This same call was let through and brought a new one, until ${clock(life.accessText)}.`, 'honey']);
    }
    showAnswer({ status, what: `${method} ${sampleAPI}`, body, facts });
  } catch (error) {
    if (started !== era) return;
    if (error instanceof Problem && error.code === 'csrf_failed') {
      showAnswer({
        status: error.status,
        what: `${method} ${sampleAPI}`,
        body: error.answer,
        facts: [['Refused, as it should be. Another site could send this request with your cookies, but not with the CSRF header.', 'honey']],
      });
      return;
    }
    const text = handle(error, again);
    if (text) showAnswer({ status: error.status, what: `${method} ${sampleAPI}`, body: error.answer, facts: [[text, 'honey']] });
  }
}

function showAnswer(answer) {
  const box = $('api-answer');
  box.dataset.state = answer ? 'full' : 'empty';
  box.querySelector('.answer-empty').hidden = answer !== null;
  box.querySelector('.answer-head').hidden = answer === null;
  $('api-body').hidden = answer === null;
  $('api-facts').hidden = answer === null;
  if (answer === null) {
    $('api-facts').replaceChildren();
    return;
  }
  $('api-status').textContent = answer.status;
  $('api-status').dataset.tone = answer.status < 400 ? 'good' : 'bad';
  $('api-what').textContent = answer.what;
  $('api-body').textContent = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body, null, 2);
  $('api-facts').replaceChildren(
    ...answer.facts.map(([text, tone = '']) => {
      const item = document.createElement('li');
      item.textContent = text;
      item.dataset.tone = tone;
      return item;
    }),
  );
}

// ---------------------------------------------------------------------------------------------------------------------
// Sessions
// ---------------------------------------------------------------------------------------------------------------------

async function loadSessions() {
  const started = era;
  const mayRenew = !life?.access || life.access - Date.now() < 1000;
  try {
    const { body } = await call('GET', `${auth}/sessions`);
    if (started !== era) return;
    const list = body.sessions ?? [];
    if (mayRenew) await afterCall(`GET ${auth}/sessions`);
    if (started !== era) return;
    learn(list.find((session) => session.current));
    list.sort((a, b) => Number(b.current) - Number(a.current) || Date.parse(b.last_used_at) - Date.parse(a.last_used_at));
    $('sessions').replaceChildren(...list.map(sessionItem));
    $('sessions-empty').hidden = list.length > 0;
    $('sessions-empty').textContent = 'No session is listed.';
    $('end-others').hidden = list.length < 2;
  } catch (error) {
    if (started !== era) return;
    const text = handle(error, loadSessions);
    if (text) say($('sessions-note'), text, 'bad');
  }
}

/** The list says when our tokens were issued, so the full length of both lives is known even after a reload. */
function learn(session) {
  if (!session || life === null) return;
  const issued = Date.parse(session.last_used_at) - ahead;
  fullLife.created = Date.parse(session.created_at) - ahead;
  if (life.access !== null && tokens.length === 1 && issued < tokens[0].from) {
    fullLife.access = Math.max(fullLife.access, life.access - issued);
    tokens[0].from = issued;
  }
  if (life.refresh !== null) fullLife.refresh = Math.max(fullLife.refresh, life.refresh - issued);
  draw();
}

function sessionItem(session) {
  const client = describeAgent(session.user_agent ?? '');
  const title = session.name || client.text;
  const item = document.createElement('li');
  item.className = 'session';

  const icon = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  icon.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#i-${client.icon}`);
  icon.append(use);

  const text = document.createElement('div');
  const name = document.createElement('p');
  name.className = 'session-name';
  name.append(title);
  if (session.current) {
    const badge = document.createElement('span');
    badge.className = 'badge';
    badge.textContent = 'this browser';
    name.append(' ', badge);
  }
  const meta = document.createElement('p');
  meta.className = 'session-meta';
  meta.textContent = [
    session.ip,
    `signed in ${moment(Date.parse(session.created_at))}`,
    session.current ? '' : `last used ${moment(Date.parse(session.last_used_at))}`,
  ]
    .filter(Boolean)
    .join(' · ');
  text.append(name, meta);
  if (session.shared) {
    const shared = document.createElement('p');
    shared.className = 'session-shared';
    const other = describeAgent(session.shared.user_agent ?? '').text;
    shared.textContent = `${other} at ${session.shared.ip} was given this session's tokens as well, ${moment(Date.parse(session.shared.at))}. If that was not you, end the session.`;
    text.append(shared);
  }
  item.append(icon, text);

  if (!session.current) {
    const end = document.createElement('button');
    end.type = 'button';
    end.className = 'button small';
    end.textContent = 'End';
    end.setAttribute('aria-label', `End session: ${title}, signed in ${moment(Date.parse(session.created_at))}`);
    press(end, () => endSession(session.id, title));
    item.append(end);
  }
  return item;
}

async function endSession(id, title) {
  await changeSessions(`${auth}/sessions/${encodeURIComponent(id)}`, `Ended: ${title}.`, () => endSession(id, title));
}

async function endOthers() {
  await changeSessions(`${auth}/sessions`, 'All other sessions are ended.', endOthers);
}

async function changeSessions(path, done, again) {
  const started = era;
  try {
    await call('DELETE', path);
  } catch (error) {
    if (started !== era) return;
    // Ended already, perhaps from its own browser: what was wanted is so.
    if (!(error instanceof Problem && error.status === 404)) {
      const text = handle(error, again);
      if (text) say($('sessions-note'), text, 'bad');
      return;
    }
  }
  if (started !== era) return;
  calm();
  await loadSessions();
  if (started !== era) return;
  say($('sessions-note'), done);
  if (document.activeElement === document.body) $('sign-out-all').focus({ preventScroll: true });
  await afterCall(`DELETE ${path.slice(0, auth.length + '/sessions'.length)}`);
}

/** A short name for a User-Agent header. Only for people to recognise their own devices by. */
function describeAgent(agent) {
  const browser =
    [['Edg', 'Edge'], ['OPR/', 'Opera'], ['Firefox/', 'Firefox'], ['Chrome/', 'Chrome'], ['Safari/', 'Safari']].find(([mark]) =>
      agent.includes(mark),
    )?.[1] ?? '';
  const system =
    [['iPhone', 'iPhone'], ['iPad', 'iPad'], ['Android', 'Android'], ['Windows', 'Windows'], ['Mac OS X', 'macOS'], ['CrOS', 'ChromeOS'], ['Linux', 'Linux']].find(
      ([mark]) => agent.includes(mark),
    )?.[1] ?? '';
  if (!browser) return { text: agent.slice(0, 60) || 'Unknown client', icon: 'terminal' };
  return {
    text: system ? `${browser} on ${system}` : browser,
    icon: ['iPhone', 'iPad', 'Android'].includes(system) ? 'phone' : 'desktop',
  };
}

// ---------------------------------------------------------------------------------------------------------------------
// What script can see
// ---------------------------------------------------------------------------------------------------------------------

function peek() {
  const cookies = readCookies();
  const strangers = cookies.filter((cookie) => cookie.name !== csrfCookie).map((cookie) => cookie.name || '(no name)');
  const csrf = cookies.find((cookie) => cookie.name === csrfCookie);
  const lines = [];
  if (csrf) lines.push(`${csrf.name}=${csrf.value.length > 14 ? `${csrf.value.slice(0, 12)}…` : csrf.value}`);
  if (strangers.length) lines.push(`${strangers.join(', ')}`);
  seeing(
    'peek-cookies',
    lines.join('; ') || 'empty',
    strangers.length
      ? 'Some of these cookies belong to other applications on this host.'
      : csrf
        ? 'The CSRF token only. It opens nothing by itself.'
        : '',
    'good',
  );
  for (const [id, name] of [['peek-local', 'localStorage'], ['peek-session', 'sessionStorage']]) {
    let count;
    try {
      count = window[name].length;
    } catch {
      seeing(id, 'blocked', 'The browser does not let this page look.', 'good');
      continue;
    }
    seeing(id, count === 0 ? 'empty' : `${count} ${count === 1 ? 'entry' : 'entries'}`, count === 0 ? '' : 'Not written by this page.', 'good');
  }
  seeing('peek-set-cookie', `${seen.setCookie} of ${seen.requests}`, '', seen.setCookie === 0 ? 'good' : 'bad');
}

function seeing(id, text, small, tone) {
  const target = $(id);
  const all = `${text}\n${small}`;
  if (target.dataset.shown === all) return;
  target.dataset.shown = all;
  target.dataset.tone = tone;
  target.textContent = text;
  if (!small) return;
  const note = document.createElement('small');
  note.textContent = small;
  target.append(note);
}

function writeLog(method, path, response) {
  const visible = response?.headers.has('Set-Cookie') ?? false;
  if (response) seen.requests += 1;
  if (visible) seen.setCookie += 1;
  const row = document.createElement('tr');
  const cell = (name, text) => {
    const td = document.createElement('td');
    td.className = name;
    td.textContent = text;
    row.append(td);
    return td;
  };
  cell('log-time', new Date().toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }));
  const request = cell('log-request', '');
  const verb = document.createElement('b');
  verb.textContent = method;
  request.append(verb, ` ${path}`);
  const status = cell('log-status', response ? String(response.status) : 'no answer');
  status.dataset.tone = response?.ok ? 'good' : 'bad';
  cell('log-seen', visible ? 'visible' : 'none seen');
  $('log').prepend(row);
  while ($('log').children.length > 30) $('log').lastChild.remove();
  peek();
}

// ---------------------------------------------------------------------------------------------------------------------
// Words and small parts
// ---------------------------------------------------------------------------------------------------------------------

/** 4:05 · 2 h 5 min · 3 days 4 h */
function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 3600) return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
  const minutes = Math.floor(s / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} days ${hours % 24} h`;
}

function wait(seconds) {
  if (seconds >= 90) return `${Math.ceil(seconds / 60)} minutes`;
  return seconds === 1 ? 'a second' : `${seconds} seconds`;
}

const clock = (text) =>
  new Date(text).toLocaleTimeString(undefined, { hour: 'numeric', minute: '2-digit', second: '2-digit' });

/** 14:03 today, otherwise with the day. */
function moment(time) {
  const date = new Date(time);
  const hour = date.toLocaleTimeString(undefined, { hour: 'numeric', minute: '2-digit' });
  const day = (d) => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
  const days = Math.round((day(date) - day(new Date())) / 86_400_000);
  if (days === 0) return `today ${hour}`;
  if (days === 1) return `tomorrow ${hour}`;
  if (days === -1) return `yesterday ${hour}`;
  return `${date.toLocaleDateString(undefined, { day: 'numeric', month: 'short' })} ${hour}`;
}

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

function write(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

function say(element, text, tone = '') {
  element.textContent = text;
  element.dataset.tone = tone;
  element.hidden = text === '';
}

function fieldError(id, text) {
  $(id).setAttribute('aria-invalid', 'true');
  $(`${id}-error`).textContent = text;
  $(`${id}-error`).hidden = false;
}

/** Shows a refusal in its form: what concerns a field at the field, everything else above the fields. */
function showProblem(form, text, error, fields = {}) {
  let placed = 0;
  for (const { field = '', detail = '' } of error?.fields ?? []) {
    const id = fields[field.split(/[./]/).at(-1)];
    if (!id || !detail) continue;
    fieldError(id, detail);
    if (placed === 0) $(id).focus();
    placed += 1;
  }
  const box = $(`${form.id}-problem`);
  box.replaceChildren(text);
  if (error?.requestID) {
    const id = document.createElement('small');
    id.className = 'request';
    id.textContent = `Request ${error.requestID}`;
    box.append(id);
  }
  box.hidden = false;
}

function clearProblem(form) {
  $(`${form.id}-problem`).hidden = true;
  $(`${form.id}-problem`).replaceChildren();
  for (const input of form.querySelectorAll('[aria-invalid]')) input.removeAttribute('aria-invalid');
  for (const text of form.querySelectorAll('.field-error')) text.hidden = true;
}

/** Runs the action of a button, once at a time. The button keeps the focus, so it is not disabled for real. */
async function once(button, action) {
  if (button.getAttribute('aria-disabled') === 'true') return;
  button.setAttribute('aria-disabled', 'true');
  try {
    await action();
  } finally {
    button.removeAttribute('aria-disabled');
  }
}

function press(button, action) {
  button?.addEventListener('click', () => once(button, action));
}

function submit(form, button, action) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    once(button, action);
  });
}

// ---------------------------------------------------------------------------------------------------------------------
// Start
// ---------------------------------------------------------------------------------------------------------------------

submit($('sign-in'), $('sign-in-button'), signIn);
submit($('names'), $('names-save'), saveNames);
press($('sign-out'), () => signOut(false));
press($('sign-out-all'), () => signOut(true));
press($('renew'), renew);
press($('who-am-i'), whoAmI);
press($('end-others'), endOthers);
press($('banner-retry'), () => retry?.());
press($('api-get'), () => callSample('GET'));
press($('api-post'), () => callSample('POST'));
press($('api-post-bare'), () => callSample('POST', false));
$('password-toggle').addEventListener('click', () => revealPassword($('password').type === 'password'));
$('demo-fill')?.addEventListener('click', () => {
  $('identity').value = $('demo-username').textContent;
  $('password').value = $('demo-password').textContent;
  clearProblem($('sign-in'));
  $('sign-in-button').focus();
});

const next = nextPath();
if (next) {
  $('entry-next').textContent = `After that you go on to ${next}`;
  $('entry-next').hidden = false;
}

others?.addEventListener('message', ({ data }) => check(data === 'signed-out' ? 'You signed out in another tab.' : undefined));
window.cookieStore?.addEventListener('change', peek);
setInterval(draw, 250);
setInterval(peek, 1000);

// Timers sleep with the tab and the machine, and sign-out may have happened elsewhere: look again on the way back.
let looked = 0;
function lookAgain() {
  if (document.visibilityState !== 'visible' || Date.now() - looked < 500) return; // focus and visibility come together
  looked = Date.now();
  check();
}
document.addEventListener('visibilitychange', lookAgain);
window.addEventListener('focus', lookAgain);
window.addEventListener('online', lookAgain);

// What the browser keeps for its back button is a page that shows nothing: it asks again first.
window.addEventListener('pagehide', () => {
  user = null;
  life = null;
  wipe();
  resetForm();
  show('unknown');
});
window.addEventListener('pageshow', (event) => {
  if (event.persisted) check();
});

check();
