import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// The package as it is published: built into a folder of its own, so that no test depends on what was built before.

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..')
const bin = (name: string) => join(root, 'node_modules/.bin', name)
let built: string

beforeAll(() => {
  built = mkdtempSync(join(tmpdir(), 'tokenjar-client-'))
  execFileSync(bin('tsc'), ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(built, 'dist')], { cwd: root })
}, 300_000)
afterAll(() => rmSync(built, { recursive: true, force: true }))

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

describe('the package', () => {
  test('CL-10 the types of the wire are those of the OpenAPI document', async () => {
    const made = execFileSync(bin('openapi-typescript'), [join(root, '../httpapi/openapi.golden.json')], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    expect(readFileSync(join(root, 'src/api.ts'), 'utf8'), 'npm run api makes src/api.ts anew').toBe(made)
  }, 60_000)

  test('it has no dependencies', () => {
    expect(manifest.dependencies).toBe(undefined)
    expect(manifest.sideEffects).toBe(false)
    for (const file of readdirSync(join(built, 'dist'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'))) {
      const text = readFileSync(join(built, 'dist', file), 'utf8')
      for (const [, from] of text.matchAll(/^(?:import|export) .*? from '([^']+)'/gm)) {
        expect(from, file).toMatch(/^\.\.?\/|^axios$|^react$|^vue$/)
      }
    }
  })

  test('every entry point that is built is what the manifest says', () => {
    for (const [name, target] of Object.entries<{ types: string; default: string }>(manifest.exports)) {
      if (name === './package.json' || !existsSync(join(root, 'src', (name.slice(2) || 'index') + '.ts'))) continue
      expect(existsSync(join(built, target.default)), target.default).toBe(true)
      expect(existsSync(join(built, target.types)), target.types).toBe(true)
    }
  })

  test.each(['index', 'testing'])('%s is imported where there is no page, and touches none while it is', async (name) => {
    const text = `
      for (const name of ['window', 'document', 'navigator', 'location', 'localStorage', 'BroadcastChannel', 'addEventListener', 'fetch']) {
        Object.defineProperty(globalThis, name, { get() { throw new Error(name + ' is touched') } })
      }
      const all = await import( ${JSON.stringify(join(built, 'dist', name + '.js'))}); console.log(Object.keys(all).sort().join())`
    const found = execFileSync(process.execPath, ['--input-type=module', '-e', text], { encoding: 'utf8' }).trim()
    expect(found).toBe(
      { index: 'AuthError,account,createAuth,onExpiring,openEvents,openSocket,retryQuery,returnTo', testing: 'fakeServer' }[name],
    )
  })

  test.each([
    ['createAuth', 'index', 4096],
    ['withAuth', 'axios', 1024],
  ])('%s of %s is %i bytes at most, bundled, minified and gzipped', async (name, file, budget) => {
    const { sizes } = await import('../size.mjs')
    const [found] = await sizes([[name, `export { ${name} } from '${join(built, 'dist', file + '.js')}'`, budget]])
    const bytes = found!.bytes
    expect(bytes).toBeLessThanOrEqual(budget)
    expect(bytes).toBeGreaterThan(100)
  })

  test('the lock file names no registry', () => {
    expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).not.toMatch(/"resolved"|https?:\/\/registry/)
  })

  test('every source file holds its own rules about tokens: none is kept outside of memory', () => {
    for (const file of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))) {
      expect(readFileSync(join(root, 'src', file), 'utf8'), file).not.toMatch(/localStorage|sessionStorage|indexedDB|document\.cookie\s*=|console\./)
    }
  })
})
