// Draws /openapi.json. Whatever comes from the document is written as text, never as markup.

const source = '/openapi.json';
const methods = ['get', 'post', 'put', 'patch', 'delete'];

/** el('p', {class: 'soft'}, 'text', child) builds an element; children are elements or text. */
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) node.setAttribute(key, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ''));
  return node;
}

class Page {
  constructor(doc) {
    this.doc = doc;
  }

  /** Follows a $ref inside the document. */
  resolve(node) {
    for (let steps = 0; node?.$ref && steps < 10; steps++) {
      node = node.$ref.slice(2).split('/').reduce((at, key) => at?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], this.doc);
    }
    return node ?? {};
  }

  /** The refusals that no operation lists. */
  anywhere() {
    return Object.fromEntries(Object.entries(this.doc.components.responses).filter(([, response]) => response['x-status']));
  }

  operations() {
    const list = [];
    for (const [path, item] of Object.entries(this.doc.paths)) {
      for (const method of methods) {
        if (item[method]) list.push({ path, method, ...item[method] });
      }
    }
    return list;
  }

  draw() {
    document.title = `${this.doc.info.title}: HTTP API`;
    const main = document.getElementById('operations');
    const contents = document.getElementById('contents');
    const filter = el('input', { type: 'search', 'aria-label': 'Filter the operations', placeholder: 'Filter' });
    const found = el('p', { class: 'soft', role: 'status' });
    contents.append(filter, found);
    main.append(...this.doc.info.description.split('\n\n').map((text) => el('p', { class: 'soft' }, text)));
    for (const tag of this.doc.tags) {
      const own = this.operations().filter((op) => op.tags?.includes(tag.name));
      main.append(group(el('h2', { id: `group-${tag.name}` }, tag.description), own.map((op) => this.operation(op))));
      contents.append(group(el('h2', {}, tag.description), el('ul', {}, own.map((op) => this.link(op)))));
    }
    const refusals = `refusals on any path ${this.codes(this.anywhere())}`;
    const credentials = 'credentials: how a request says who it is from';
    main.append(
      el('section', { 'data-text': refusals }, el('h2', { id: 'anywhere' }, 'Refusals on any path'), this.responses(this.anywhere())),
      el('section', { 'data-text': credentials }, el('h2', { id: 'security' }, 'How a request says who it is from'), this.schemes()));
    contents.append(group(el('h2', {}, 'Everywhere'), el('ul', {},
      el('li', { 'data-text': refusals }, el('a', { href: '#anywhere' }, 'Refusals on any path')),
      el('li', { 'data-text': credentials }, el('a', { href: '#security' }, 'Credentials')))));
    filter.addEventListener('input', () => {
      found.textContent = show(filter.value.trim().toLowerCase()) ? '' : 'Nothing matches.';
    });
    addEventListener('hashchange', showTarget);
    showTarget();
  }

  link(op) {
    return el('li', { 'data-text': this.text(op) }, el('a', { href: `#${op.operationId}` }, `${op.method.toUpperCase()} ${op.path}`));
  }

  /** What the filter looks for in an operation: its names, and the codes of its refusals. */
  text(op) {
    return `${op.method} ${op.path} ${op.operationId} ${op.summary} ${this.codes(op.responses)}`.toLowerCase();
  }

  codes(responses) {
    return Object.values(responses).flatMap((found) => codesOf(this.resolve(found)) ?? []).join(' ');
  }

  operation(op) {
    const body = op.requestBody?.content?.['application/json'];
    return el('details', { class: 'operation', id: op.operationId, 'data-text': this.text(op) },
      el('summary', {},
        el('span', { class: `method ${op.method}` }, op.method.toUpperCase()),
        el('span', { class: 'path' }, op.path), el('span', { class: 'soft' }, op.summary)),
      el('div', {},
        el('h3', {}, 'Who may call it'), this.security(op.security),
        op.parameters ? [el('h3', {}, 'Parameters'), this.parameters(op.parameters)] : null,
        body ? [el('h3', {}, op.requestBody.required ? 'Body' : 'Body (may be left out)'), this.schema(body.schema)] : null,
        el('h3', {}, 'Example'), el('pre', { tabindex: '0' }, this.curl(op)),
        el('h3', {}, 'Answers'), this.responses(op.responses)));
  }

  security(requirements) {
    if (!requirements?.length) return el('p', {}, 'Anybody.');
    return el('ul', { class: 'plain' }, requirements.map((one) => el('li', {}, Object.keys(one).map((name) => {
      const scheme = this.doc.components.securitySchemes[name];
      return scheme.in ? `${scheme.in} ${scheme.name}` : 'Authorization: Bearer';
    }).join(' and ') || 'nothing at all')));
  }

  schemes() {
    const rows = Object.entries(this.doc.components.securitySchemes).map(([name, scheme]) =>
      [name, scheme.in ? `${scheme.in} ${scheme.name}` : 'Authorization: Bearer', scheme.description ?? '']);
    return table(['Name', 'Sent as', ''], rows);
  }

  parameters(list) {
    return table(['Name', 'In', 'Type', ''], list.map((p) => [code(p.name), p.in, this.type(p.schema), p.description ?? '']));
  }

  responses(all) {
    return el('div', {}, Object.entries(all).map(([key, found]) => {
      const response = this.resolve(found);
      const media = Object.entries(response.content ?? {});
      const status = response['x-status']?.join(', ') ?? key;
      const codes = codesOf(response);
      return el('details', { class: 'response' },
        el('summary', {}, code(status), ' ', codes ? codes.join(', ') : response.description),
        el('div', {},
          codes ? el('p', {}, response.description) : null,
          response.headers ? table(['Header', 'Sent', ''], Object.entries(response.headers).map(([name, header]) =>
            [code(name), header.required ? 'always' : 'maybe', header.description ?? header.schema?.description ?? ''])) : null,
          media.map(([type, m]) => [el('h3', {}, type), m.schema ? this.schema(m.schema) : null])));
    }));
  }

  /** A table of the members of a schema, those of its parts included. */
  schema(schema) {
    const rows = [];
    this.members(schema, '', rows, 0);
    return rows.length ? table(['Member', 'Type', ''], rows) : el('p', { class: 'soft' }, this.type(schema));
  }

  members(schema, prefix, rows, depth) {
    schema = this.resolve(schema);
    const own = schema.properties ?? {};
    for (const part of schema.allOf ?? []) {
      const more = this.resolve(part);
      schema = { ...more, properties: { ...more.properties, ...own } };
    }
    for (const [name, member] of Object.entries(schema.properties ?? {})) {
      const needed = schema.required?.includes(name) ? 'required' : 'optional';
      const full = this.resolve(member);
      rows.push([code(prefix + name), `${this.type(member)}, ${needed}`, describe(full)]);
      if (depth < 3) {
        if (full.properties) this.members(full, `${prefix}${name}.`, rows, depth + 1);
        if (full.items) this.members(full.items, `${prefix}${name}[].`, rows, depth + 1);
      }
    }
  }

  type(schema) {
    const full = this.resolve(schema);
    const type = [full.type ?? 'any'].flat().join(' or ');
    return full.format ? `${type} (${full.format})` : type;
  }

  /** A value that the schema takes, for the example. */
  example(schema) {
    const full = this.resolve(schema);
    if (full.examples?.length) return full.examples[0];
    if (full.enum) return full.enum[0];
    switch ([full.type].flat()[0]) {
      case 'object': return Object.fromEntries(Object.entries(full.properties ?? {})
        .filter(([name]) => full.required?.includes(name) || full.properties[name].examples).map(([name, member]) => [name, this.example(member)]));
      case 'array': return [this.example(full.items)];
      case 'boolean': return true;
      case 'integer': case 'number': return 1;
    }
    return '…';
  }

  curl(op) {
    const lines = [`curl -i${op.method === 'get' ? '' : ` -X ${op.method.toUpperCase()}`} '${location.origin}${op.path}'`];
    const schemes = (op.security ?? []).flatMap((one) => Object.keys(one));
    const cookies = Object.values(op.responses).some((r) => this.resolve(r).headers?.['Set-Cookie']);
    if (cookies) lines.push('-c cookies.txt');
    if (schemes.some((name) => name.endsWith('Cookie'))) {
      lines.push('-b cookies.txt');
      if (schemes.includes('csrfToken')) lines.push('-H "X-CSRFToken: $CSRF_TOKEN"');
    }
    const body = op.requestBody?.content?.['application/json'];
    if (body && op.requestBody.required) {
      lines.push(`-H 'Content-Type: application/json'`, `-d '${JSON.stringify(this.example(body.schema))}'`);
    }
    return lines.join(' \\\n  ');
  }
}

/** The codes that a response's problem document may have, if it is one. */
function codesOf(response) {
  return Object.values(response.content ?? {}).map((m) => m.schema?.properties?.code?.enum).find(Boolean);
}

/** A heading and what is under it; it goes when nothing is left there. */
function group(...children) {
  return el('section', { 'data-group': '' }, ...children);
}

/** Shows what has the wanted text in it, and reports whether there is any. */
function show(wanted) {
  for (const node of document.querySelectorAll('[data-text]')) node.hidden = !node.dataset.text.includes(wanted);
  for (const node of document.querySelectorAll('[data-group]')) node.hidden = !node.querySelector('[data-text]:not([hidden])');
  return document.querySelector('[data-text]:not([hidden])') !== null;
}

function code(content) {
  return el('code', {}, content);
}

function describe(schema) {
  const parts = [schema.description && `${schema.description.replace(/\.$/, '')}.`];
  if (schema.enum) parts.push(`One of: ${schema.enum.join(', ')}.`);
  if (schema.maxLength) parts.push(`At most ${schema.maxLength} characters.`);
  return parts.filter(Boolean).join(' ');
}

function table(head, rows) {
  return el('div', { class: 'scroll' }, el('table', {},
    el('thead', {}, el('tr', {}, head.map((cell) => el('th', { scope: 'col' }, cell)))),
    el('tbody', {}, rows.map((row) => el('tr', {}, row.map((cell) => el('td', {}, cell)))))));
}

/** Opens the operation that the address names. */
function showTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
    target.querySelector('summary').focus({ preventScroll: true });
  }
}

async function start() {
  const status = document.getElementById('status');
  try {
    const answer = await fetch(source, { credentials: 'omit' });
    if (!answer.ok) throw new Error(`${source} answers ${answer.status}`);
    new Page(await answer.json()).draw();
  } catch (err) {
    status.textContent = `The OpenAPI document could not be shown: ${err.message}`;
    status.hidden = false;
  }
}

start();
