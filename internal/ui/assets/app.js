// The page of tokenjar. The session is the client's business (client.js): who is here, CSRF, renewal, one more try, other tabs.
// What is left is what the page shows, and the page of this program shows what is usually hidden: requests and deadlines.
//
// Rules it keeps:
//   - Nothing is stored: no localStorage, no sessionStorage, no cookie of its own.
//   - Nobody is shown as signed out before the client says so. A network error or a 503 never makes it say so.
//   - An answer that arrives after the view changed is thrown away, so nobody's data appears on somebody else's page.
//   - What others wrote goes into the page as text, never as markup.

import { AuthError, account, createAuth } from './client.js';

const root = document.documentElement;
const authPath = root.dataset.auth;
const csrfCookie = root.dataset.csrfCookie;
const sampleAPI = root.dataset.sampleApi ?? '';

const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------------------------------------------------------------
// The client, and its requests as the page shows them
// ---------------------------------------------------------------------------------------------------------------------

const auth = createAuth({
  authPath,
  csrfCookie: csrfCookie.replace(/^__(Host|Secure)-/, ''),
  fetch: watched,
  proactive: false, // the visitor watches the token run out, and the next call renew it
  grace: 0, // "Renew now" renews even what is new
});
const { sessions, updateUser } = account(auth);

const seen = { requests: 0, setCookie: 0 };
let underWay = 0; // requests without an answer yet

/** fetch, with what can be seen of it: a line of the log, and the deadlines where an answer tells them. */
async function watched(input, init = {}) {
  const { pathname, search } = new URL(input instanceof Request ? input.url : input, location.origin);
  const method = init.method ?? 'GET';
  const fresh = pathname !== `${authPath}/session`; // what comes with new tokens is the newest there is
  const started = era;
  const before = life?.renewals;
  underWay += 1;
  try {
    const response = await fetch(input, init);
    writeLog(method, pathname + search, response);
    if (response.ok && ['/session', '/login', '/token/refresh'].some((path) => pathname === authPath + path)) {
      const answer = await response.clone().json().catch(() => null);
      if (answer && started === era && (fresh || life?.renewals === before)) hear(answer, fresh);
    }
    return response;
  } catch (error) {
    writeLog(method, pathname + search, null);
    throw error;
  } finally {
    underWay -= 1;
  }
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

// ---------------------------------------------------------------------------------------------------------------------
// Views: unknown → out | in. While unknown neither is shown, so nothing flashes.
// ---------------------------------------------------------------------------------------------------------------------

let view = 'unknown';
let era = 0; // moves with every change of view or user; answers of an earlier era are dropped
let user = null;
let farewell = ''; // what to say when the session ends by the visitor's wish, while that is under way
let going = ''; // where the visitor goes after signing in
let shown; // the snapshot that is shown

function show(next) {
  if (view !== next) era += 1;
  view = next;
  root.dataset.view = next;
  $('view-unknown').hidden = next !== 'unknown';
  $('view-out').hidden = next !== 'out';
  $('view-in').hidden = next !== 'in';
  $('account-bar').hidden = next !== 'in';
}

/** Shows what the client knows, where that is not what is shown. */
function render() {
  const snapshot = auth.getSnapshot();
  const { status } = snapshot;
  const news = snapshot !== shown;
  if ((!news && view !== 'unknown') || (going && status === 'authenticated')) return;
  shown = snapshot;
  if (status === 'unknown') {
    clear();
  } else if (status === 'authenticated') {
    enter(snapshot.user);
    // Another tab may have renewed: the client knows by its message, the page has seen no answer.
    if (news && !(Math.abs(snapshot.expiresAt - (life?.refresh ?? 0)) < 3000)) look();
  } else if (status === 'expired') {
    leave(reasons[snapshot.reason] ?? reasons.session_ended);
  } else {
    leave(view === 'in' ? farewell || 'You signed out in another tab.' : undefined);
  }
}

function enter(who) {
  const arriving = view !== 'in' || user?.id !== who.id;
  if (user && user.id !== who.id) {
    era += 1;
    wipe();
  }
  show('in');
  setUser(who);
  draw();
  peek();
  if (arriving) loadSessions();
}

/** Ends the signed-in view here. reason is a sentence for the visitor, or nothing where there was nobody. */
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

/** Shows nothing at all. */
function clear() {
  going = '';
  user = null;
  life = null;
  wipe();
  resetForm();
  show('unknown');
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
  if (sampleAPI) showAnswer(null);
}

const reasons = {
  session_ended: 'Your session has ended. Please sign in again.',
  session_reused: 'An old copy of your session was used, so the session was ended to protect you. Please sign in again.',
  token_revoked: 'Your session was ended. Please sign in again.',
  not_authenticated: 'Please sign in to continue.',
};

/** Has the client ask who is here. Without an answer things stay as they are. */
async function look() {
  const started = era;
  try {
    await auth.load();
    if (retry === look) calm();
    render(); // the page may have been cleared while the client's knowledge stayed the same
  } catch (error) {
    if (started === era && handle(error, look)) trouble(error, look);
  }
}

/** Handles an error that belongs to no form. Returns the sentence to show beside what was tried, or ''. */
function handle(error, again) {
  if (!(error instanceof AuthError)) throw error;
  if (error.code === 'session_ended') return ''; // the view says so
  if (error.problem && error.problem.status !== 503) return error.message;
  trouble(error, again);
  return '';
}

let retry = null;

/** Says at the top what goes wrong. What the visitor tried is tried again rather than a look of the page's own. */
function trouble({ problem, message }, again) {
  if (again !== look || retry === null) retry = again;
  if (!problem) $('banner-text').textContent = 'The server cannot be reached. Your session is kept.';
  else $('banner-text').textContent = problem.status === 503 ? `${sentence(message)} Please try again in a moment.` : message;
  $('banner-request').textContent = problem?.request_id ? `Request ${problem.request_id}` : '';
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
  const credentials = { [identity.includes('@') ? 'email' : 'username']: identity, password };
  if ($('remember').checked) credentials.remember = true;
  const next = nextPath();
  going = next;
  try {
    // The server may keep a queue for passwords, and the visitor waits for it: longer than the client does by itself.
    await auth.login(credentials, { signal: new AbortController().signal });
    $('password').value = '';
    revealPassword(false);
    calm();
    if (next) {
      show('unknown');
      $('waiting-text').textContent = 'Signed in. One moment …';
      location.assign(next);
      return;
    }
    $('hello').focus();
  } catch (error) {
    going = '';
    render(); // another tab may have signed in meanwhile
    if (!(error instanceof AuthError)) throw error;
    if (!error.problem) {
      showProblem(form, 'The server cannot be reached. Please check your connection and try again.');
      return;
    }
    let text = error.message;
    if (error.retryAfter) text = `${sentence(text)} Please try again in ${wait(error.retryAfter)}.`;
    showProblem(form, text, error.problem, { username: 'identity', email: 'identity', password: 'password' });
    if (error.code === 'invalid_credentials') {
      $('password').focus();
      $('password').select();
    }
  }
}

async function signOut(everywhere) {
  const started = era;
  const again = () => signOut(everywhere);
  farewell = everywhere ? 'You are signed out everywhere.' : 'You are signed out.';
  try {
    await auth.logout({ everywhere });
    calm();
    $('entry-title').focus();
    peek();
  } catch (error) {
    if (started !== era) return;
    if (error.problem?.status === 401) look(); // it is over already, and the reason is another
    else if (handle(error, again)) trouble(error, again);
  } finally {
    farewell = '';
  }
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

/**
 * Makes a call and looks whether it renewed the session on its way, which its answer does not say. Returns the answer and
 * whether it did.
 */
async function onTheWay(what, call) {
  const started = era;
  const before = life?.renewals;
  const answer = await call();
  try {
    if (underWay > 0) await auth.load(); // a question under way may be older than the call
    await auth.load();
  } catch {
    // The call itself went well; the next look will tell.
  }
  return { answer, renewed: started === era && noteRenewal(what, before) };
}

function noteRenewal(what, before) {
  const renewed = life !== null && life.renewals !== before;
  if (renewed) sayRenewed(`${what} renewed the access token on the way.`);
  return renewed;
}

async function whoAmI() {
  const started = era;
  try {
    const { answer } = await onTheWay(`GET ${authPath}/user`, () => auth.call('GET', '/user'));
    if (started !== era) return;
    calm();
    setUser(answer);
    say($('names-note'), `The server says: ${answer.username}.`);
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
  const before = life?.renewals;
  const names = { first_name: $('first-name').value.trim(), last_name: $('last-name').value.trim() };
  try {
    const answer = await updateUser(names); // after a change the client looks by itself
    if (started !== era) return;
    calm();
    $('first-name').value = names.first_name;
    $('last-name').value = names.last_name;
    user = { ...user, ...names };
    setUser(answer);
    say($('names-note'), 'Saved.');
    noteRenewal(`PATCH ${authPath}/user`, before);
  } catch (error) {
    if (started !== era) return;
    const text = handle(error, saveNames);
    if (text) showProblem(form, text, error.problem, { first_name: 'first-name', last_name: 'last-name' });
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Session life: two deadlines. The server says how many seconds are left, so that no clock has to be right.
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What the answers said of this user's session; times in ms of this machine's clock, null where there is none, 0 where it is not
 * known:
 *
 *   of                    the user's id
 *   access, text          when the access token runs out; the same as the server wrote it, of the last one there was
 *   refresh, created      when the session ends if it is not used; when it began
 *   ahead                 the server's clock minus ours
 *   whole                 { access, refresh }: how long a life is in all
 *   tokens                the access tokens this page has seen: { from, to }
 *   renewals              how many of them were renewals
 */
let life = null;
let looked = ''; // the access token after whose end we have looked again

/** Takes over the expirations of an answer; fresh says that it came with new tokens. */
function hear(answer, fresh) {
  if (answer.authenticated === false || !(answer.user || life)) return;
  const now = Date.now();
  const of = answer.user?.id ?? life?.of;
  if (life?.of !== of) {
    const whole = { access: 0, refresh: 0 };
    life = { of, access: null, text: '', refresh: null, created: 0, ahead: 0, whole, tokens: [], renewals: 0 };
  }
  const text = answer.access_expiration ?? '';
  const { tokens, whole } = life;
  const known = life.text !== '' || life.refresh !== null;
  const renewed = known && text !== '' && (fresh || text !== life.text);
  if (text) {
    const left = answer.access_expires_in * 1000 + 999; // seconds are rounded down: never say too early that it has run out
    life.ahead = Date.parse(text) - now - left + 999;
    life.access = now + left;
    life.text = text; // one that ran out is still the last one seen, so that the next one counts as a renewal
    if (renewed || tokens.length === 0) {
      whole.access = renewed ? left : Math.max(whole.access, left);
      const last = tokens.at(-1);
      if (last && last.to > now) last.to = now;
      tokens.push({ from: now, to: life.access });
      if (tokens.length > 40) tokens.shift();
    }
  } else {
    life.access = null;
  }
  if (answer.refresh_expiration) life.refresh = Date.parse(answer.refresh_expiration) - life.ahead;
  if (life.refresh !== null) whole.refresh = Math.max(whole.refresh, life.refresh - now);
  if (renewed) {
    life.renewals += 1;
    $('jar').classList.remove('filled');
    requestAnimationFrame(() => $('jar').classList.add('filled'));
    sayRenewed('The access token was renewed.');
  }
  draw();
}

function sayRenewed(what) {
  say($('life-note'), `${what} The new one lasts until ${clock(life.text)}.`, 'honey');
}

async function renew() {
  const started = era;
  const outcome = await auth.extend();
  if (started !== era) return;
  if (outcome.outcome === 'try_later') {
    trouble(new AuthError(outcome.code, 0, outcome.problem), renew);
    return;
  }
  calm();
  await loadSessions();
}

let announced = '';

function draw() {
  if (view !== 'in' || life === null) return;
  const now = Date.now();
  const { text, whole } = life;
  const accessLeft = life.access === null ? 0 : Math.max(0, life.access - now);
  const refreshLeft = life.refresh === null ? null : Math.max(0, life.refresh - now);
  const out = accessLeft <= 0;

  $('jar').dataset.state = out ? 'empty' : 'live';
  write('jar-time', out ? 'empty' : duration(accessLeft / 1000));
  write('jar-caption', out ? 'next call refills' : 'access token');
  write('access-time', out ? 'has run out' : duration(accessLeft / 1000));
  write('access-note', out ? 'The next call renews it on the way.' : `Until ${clock(text)}. Then the next call renews it.`);
  level('jar', accessLeft / (whole.access || 1));
  level('access-meter', accessLeft / (whole.access || 1), out ? 'has run out' : duration(accessLeft / 1000));
  const session = refreshLeft === null ? 'not known' : duration(refreshLeft / 1000);
  write('refresh-time', session);
  write('refresh-note', refreshLeft === null ? 'This session cannot renew itself.' : `Until ${moment(life.refresh + life.ahead)}. Renewals extend it.`);
  level('refresh-meter', refreshLeft === null ? 0 : refreshLeft / (whole.refresh || 1), session);
  drawStrip(now);

  // Screen readers hear the thresholds only, and none at all of tokens that live a few seconds.
  const long = whole.access > 60_000;
  const threshold = `${text} ${out ? 'out' : accessLeft < 30_000 ? 'soon' : 'live'}`;
  if (threshold !== announced) {
    announced = threshold;
    write('life-announce', !long || threshold.endsWith('live') ? '' : out ? 'The access token has run out. The next call renews it.' : 'The access token runs out in 30 seconds.');
  }

  // One look after the end of each: the server may have renewed on the way of another tab's request. A call under way will tell.
  if (out && underWay === 0 && text !== looked && document.visibilityState === 'visible' && now - (life.access ?? 0) > 300) {
    looked = text;
    look();
  }
}

/** The last three lives of an access token and the one to come, with "now" at three quarters. */
function drawStrip(now) {
  const { created, tokens, whole } = life;
  const span = (whole.access || 300_000) * 4;
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
  session.style.left = `${created ? at(created) : 0}%`;
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

/** Calls the sample API. bare leaves the client out, and with it the CSRF header, as a page of another site would have to. */
async function sample(method, bare) {
  let response;
  let body;
  try {
    response = await (bare ? watched : auth.fetch)(sampleAPI, { method, headers: { Accept: 'application/json' }, cache: 'no-store' });
    body = await response.text();
  } catch (error) {
    throw error instanceof AuthError ? error : new AuthError('network', 0, undefined, error);
  }
  try {
    body = body === '' ? null : JSON.parse(body);
  } catch {
    // a service may answer anything
  }
  const code = response.headers.get('X-Tokenjar-Problem');
  if (code) throw new AuthError(code, 0, body);
  return { status: response.status, body };
}

async function callSample(method, bare = false) {
  const started = era;
  const what = `${method} ${sampleAPI}`;
  const wasOut = !life?.access || life.access <= Date.now();
  const again = () => callSample(method, bare);
  try {
    const { answer, renewed } = await onTheWay(what, () => sample(method, bare));
    if (started !== era) return;
    calm();
    if (answer.status >= 400) {
      const { detail, title } = Object(answer.body);
      showAnswer({ ...answer, what, facts: [[detail || title || `The server answered ${answer.status}.`, 'honey']] });
      return;
    }
    const facts = [['This page sent no token: no Authorization header, and it cannot read the cookies.']];
    facts.push(['The service behind got no cookie of the session either, but a token made for it alone, and verified it.']);
    if (method !== 'GET') facts.push(['The CSRF header proved that the request came from this page.']);
    if (renewed) {
      const why = wasOut ? 'The access token had run out. ' : '';
      facts.push([`${why}This same call was let through and brought a new one, until ${clock(life.text)}.`, 'honey']);
    }
    showAnswer({ ...answer, what, facts });
  } catch (error) {
    if (started !== era) return;
    const { problem } = error;
    if (bare && problem?.status === 401) return look();
    const csrf = 'Refused, as it should be. Another site could send this request with your cookies, but not with the CSRF header.';
    const text = problem?.code === 'csrf_failed' ? csrf : handle(error, again);
    if (text) showAnswer({ status: problem.status, what, body: problem, facts: [[text, 'honey']] });
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
  // Live tokens are renewed by nobody, and then the page's own look says nothing about its visitor.
  const passive = life?.access > Date.now() + 1000;
  try {
    const list = passive
      ? await sessions.list({ passive })
      : (await onTheWay(`GET ${authPath}/sessions`, () => sessions.list())).answer;
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
  const { access, refresh, ahead, tokens, whole } = life;
  const issued = Date.parse(session.last_used_at) - ahead;
  life.created = Date.parse(session.created_at) - ahead;
  if (access !== null && tokens.length === 1 && issued < tokens[0].from) {
    whole.access = Math.max(whole.access, access - issued);
    tokens[0].from = issued;
  }
  if (refresh !== null) whole.refresh = Math.max(whole.refresh, refresh - issued);
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
  await changeSessions(() => sessions.end(id), `Ended: ${title}.`, () => endSession(id, title));
}

async function endOthers() {
  await changeSessions(() => sessions.endOthers(), 'All other sessions are ended.', endOthers);
}

async function changeSessions(change, done, again) {
  const started = era;
  const before = life?.renewals;
  try {
    await change();
  } catch (error) {
    if (started !== era) return;
    // Ended already, perhaps from its own browser: what was wanted is so.
    if (error.problem?.status !== 404) {
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
  noteRenewal(`DELETE ${authPath}/sessions`, before);
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
function showProblem(form, text, problem, fields = {}) {
  let placed = 0;
  for (const { field = '', detail = '' } of problem?.errors ?? []) {
    const id = fields[field.split(/[./]/).at(-1)];
    if (!id || !detail) continue;
    fieldError(id, detail);
    if (placed === 0) $(id).focus();
    placed += 1;
  }
  const box = $(`${form.id}-problem`);
  box.replaceChildren(text);
  if (problem?.request_id) {
    const id = document.createElement('small');
    id.className = 'request';
    id.textContent = `Request ${problem.request_id}`;
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
press($('api-post-bare'), () => callSample('POST', true));
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

window.cookieStore?.addEventListener('change', peek);
setInterval(draw, 250);
setInterval(peek, 1000);

// Deadlines that moved elsewhere are seen at once, and not when the client has its next reason to ask.
window.addEventListener('focus', look);
window.addEventListener('online', look);

// What the browser keeps for its back button is a page that shows nothing: it asks again first.
window.addEventListener('pagehide', clear);
window.addEventListener('pageshow', (event) => {
  if (event.persisted) look();
});

auth.subscribe(render);
look();
