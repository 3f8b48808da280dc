import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// The package in a project that has installed it: what npm packs, under the project's own settings. Its build goes to dist.

const root = fileURLToPath(new URL('..', import.meta.url))
const project = mkdtempSync(join(tmpdir(), 'tokenjar-package-'))
const installed = join(project, 'node_modules/@tokenjar/client')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const peers = Object.keys(manifest.peerDependencies)
const run = (cwd: string, command: string, ...args: string[]) => execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

beforeAll(() => {
  const [{ filename }] = JSON.parse(run(root, 'npm', 'pack', '--json', '--silent', '--pack-destination', project).replace(/^[^[]*/, ''))
  mkdirSync(installed, { recursive: true })
  run(project, 'tar', 'xf', join(project, filename), '-C', installed, '--strip-components=1')
  for (const name of [...peers, '@types', 'csstype', '@vue']) symlinkSync(join(root, 'node_modules', name), join(project, 'node_modules', name))
}, 120_000)
afterAll(() => rmSync(project, { recursive: true, force: true }))

/** What a page has to load for these exports: bundled, minified, packed. What it has anyway does not count. */
async function weigh(...lines: string[]) {
  const { outputFiles } = await build({
    stdin: { contents: lines.join('\n'), resolveDir: project },
    bundle: true, minify: true, format: 'esm', target: 'es2022', write: false, logLevel: 'error', external: peers, legalComments: 'none',
  })
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length
}

const all = (entry: string) => `export * from '${entry}'`
const core = all('@tokenjar/client')

describe('the installed package', { timeout: 120_000 }, () => {
  test.each(['react', 'vue'])('%s adds at most 1 KB to it', async (name) => {
    expect((await weigh(core, all('@tokenjar/client/' + name))) - (await weigh(core))).toBeLessThanOrEqual(1024)
  })

  test('a server that renders pages adds at most 2 KB', async () => {
    expect((await weigh(core, all('@tokenjar/client/ssr'))) - (await weigh(core))).toBeLessThanOrEqual(2048)
  })

  test('what is not used is not loaded', async () => {
    expect(await weigh("import '@tokenjar/client'", "import '@tokenjar/client/react'", "import '@tokenjar/client/vue'")).toBeLessThan(40)
    expect(await weigh("export { AuthError } from '@tokenjar/client'")).toBeLessThan(500)
  })

  test('an adapter brings no peer but its own', () => {
    for (const [name, others] of [['react', /from '(vue|axios)/], ['vue', /from '(react|axios|vue-router)/], ['ssr', /from '(react|vue|axios|node:)/]] as const) {
      const files = run(installed, 'sh', '-c', `cat dist/${name}.js dist/${name}/*.js`)
      expect(files).not.toMatch(others)
    }
  })

  test('publint has nothing to say', async () => {
    const { messages, pkg } = await publint({ pkgDir: installed, pack: false, strict: true })
    expect(messages.map((message) => formatMessage(message, pkg!, { color: false }))).toEqual([])
  })

  test.each([
    ['bundler', 'esnext'],
    ['node16', 'node16'],
  ])('types resolve under moduleResolution %s', (moduleResolution, module) => {
    cpSync(join(root, 'test-d'), join(project, 'src'), { recursive: true })
    writeFileSync(join(project, 'package.json'), '{"type":"module","private":true}')
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: { target: 'es2022', module, moduleResolution, strict: true, exactOptionalPropertyTypes: true, noEmit: true, skipLibCheck: true, types: [], lib: ['es2022', 'dom', 'dom.iterable'] },
        include: ['src'],
      }),
    )
    let said = ''
    try {
      run(project, process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', '.')
    } catch (error) {
      said = String((error as { stdout: string }).stdout)
    }
    expect(said).toBe('')
  })

  test('Node can import every entry point', () => {
    const names = Object.keys(manifest.exports).filter((entry) => !/json/.test(entry)).map((entry) => '@tokenjar/client' + entry.slice(1))
    const script = `for (const name of ${JSON.stringify(names)}) if (!Object.keys(await import(name)).length) throw name`
    run(project, process.execPath, '--input-type=module', '-e', script)
  })
})
