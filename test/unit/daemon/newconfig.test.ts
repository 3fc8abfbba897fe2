import assert from 'node:assert/strict'

import { parseConfig } from '../../../src/daemon/config.ts'
import { filledIn, saysNothing } from '../../../src/daemon/newconfig.ts'
import { sampleConfig } from '../../../src/debian/sampleconfig.ts'
import { OPTIONS } from '../../../src/index.ts'

const SAMPLE = sampleConfig(OPTIONS)
const HOST = {
  name: 'host-d', clusterKey: '/etc/pagemesh/cluster.key', listen: '/ip4/10.0.0.4/tcp/4001',
  bootstrap: '/ip4/10.0.0.1/tcp/4001',
}

/** What a configuration says, but for defaults. */
function saidIn(text: string): unknown[] {
  const { name, clusterKey, listen, bootstrap, guests } = parseConfig(text, 'agent.yaml').agentOptions
  return [name, clusterKey, listen, bootstrap, guests]
}

describe('a new host\'s configuration', () => {
  it('says nothing yet if it is empty or holds comments alone', () => {
    for (const text of ['', '\n\n', '# one\n  # two\r\n\t\n', SAMPLE]) assert.ok(saysNothing(text))
    for (const text of ['name: a', '# one\nguests: []\n', '---\n', '# one\rname: a', '{}', '- # x', 'x # y']) {
      assert.ok(!saysNothing(text), text)
    }
  })

  const says = [
    HOST.name, HOST.clusterKey, [HOST.listen], [HOST.bootstrap], saidIn('name: a\nclusterKey: /key\n')[4],
  ]

  it('is made where none was, with a word on guests', () => {
    const text = filledIn('', HOST)
    assert.deepEqual(saidIn(text), says)
    assert.match(text, /^# guests: \[/m)
    assert.ok(text.endsWith(']\n'))
  })

  it('has its keys where their comments showed them, and keeps all other comments', () => {
    const text = filledIn(SAMPLE, HOST)
    assert.deepEqual(saidIn(text), says)
    const [before, after] = [SAMPLE, text].map((one) => one.split('\n'))
    const changed = after!.filter((line, index) => line !== before![index])
    assert.equal(after!.length, before!.length)
    assert.deepEqual(changed.map((line) => line.split(':')[0]!).sort(), ['bootstrap', 'clusterKey', 'listen', 'name'])
  })

  it('has them first where no comment shows them', () => {
    const text = filledIn('# Ours.\n#names: no\n# listen: as it was\n#listen: []\n', HOST)
    assert.deepEqual(saidIn(text), says)
    assert.ok(text.startsWith('name: "host-d"\n'))
    assert.ok(text.endsWith('\n# Ours.\n#names: no\n# listen: as it was\nlisten: ["/ip4/10.0.0.4/tcp/4001"]\n'))
  })

  it('holds a name with any characters as it is', () => {
    const name = 'a"b: #c\\d\u2028e\u0085'
    assert.equal(saidIn(filledIn(SAMPLE, { ...HOST, clusterKey: `/etc/${name}` }))[1], `/etc/${name}`)
  })
})
