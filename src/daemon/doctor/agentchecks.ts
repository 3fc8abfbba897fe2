/** The configuration, the agent that runs with it, and where others meet it. Pure. */
import { isUnspecifiedHost, parseHostPort } from '../../net/hostport.ts'
import { isLoopback, judgeAddresses } from './addresschecks.ts'
import type { Facts } from './facts.ts'
import { check, type Finding } from './finding.ts'

export function judgeAgent(facts: Facts): Finding[] {
  return [
    judgeConfiguration(facts), judgeControl(facts), ...judgeVersion(facts), ...judgeDoubled(facts),
    ...judgeListening(facts), ...judgeAddresses(facts.configuration.config?.agentOptions ?? {}, facts.names),
    ...judgeAnnounced(facts),
  ]
}

function judgeConfiguration({ configuration: { file, failure, config }, agent }: Facts): Finding {
  const about = check('configuration', file)
  if (config !== null && failure === null) return about.ok('It is valid.')
  const { message, advice } = failure!
  // An agent that runs has its configuration: where that stands, only the operator knows.
  if (agent.examination !== null && config === null) {
    return about.warning(message, advice ?? 'Name the file that the agent was started with by --config.')
  }
  return about.broken(message, advice ?? '`pagemesh check` says more.')
}

function judgeControl({ agent: { control, examination, failure } }: Facts): Finding {
  const about = check('control socket', control)
  if (examination !== null) {
    const { status, pid } = examination
    return about.ok(`The agent of ${status.host} answers, process ${pid}.`)
  }
  const { message, advice } = failure!
  return about.broken(message, advice ?? 'See the log of the agent.')
}

function judgeVersion({ program, agent: { examination } }: Facts): Finding[] {
  if (examination === null) return [check('version').ok(`Pagemesh ${program.version}, Node ${program.nodeVersion}.`)]
  const { version } = examination.status
  if (version === program.version) return [check('version').ok(`Pagemesh ${version}, Node ${examination.nodeVersion}.`)]
  return [check('version').warning(`The agent is Pagemesh ${version}, this command ${program.version}.`,
    'Start the agent anew, so that it runs what is installed.')]
}

function judgeDoubled({ agent: { examination } }: Facts): Finding[] {
  if (examination === null) return []
  const { doubled, host, peerId: own } = examination.status
  const advice = 'Stop the agent of the copied host, remove its identity and its store (the files in `store.path`), ' +
    'give it a `name` of its own, and start it.'
  return doubled.map(({ host: name, peerId }) => check('identity of', name).broken(peerId === own
    ? `Another host runs with the identity of ${host} (${own}): the others let neither in.`
    : `Several hosts run with the identity of ${name} (${peerId}): none of them is let in.`, advice))
}

function judgeListening({ listening, agent: { examination, failure }, ownAddresses }: Facts): Finding[] {
  return listening.map(({ key, address, why }) => {
    const about = check(key, address)
    if (examination !== null) {
      return why === null ? about.ok('It is listened at.')
        : about.broken(`Nobody answers there (${why}).`, unansweredAdvice(key, why))
    }
    // Whose it is cannot be known: the agent may run.
    if (why === null && failure?.code === 'control-denied') return about.ok('It is listened at.')
    if (why === null) {
      return about.broken('Another program listens there: the agent could not start.',
        `Stop it (\`ss -ltnp\` names it), or set another \`${key}\`.`)
    }
    const host = parseHostPort(address)?.host ?? ''
    const isOwn = ownAddresses.includes(host) || isLoopback(host) || isUnspecifiedHost(host) || !/^[\d.]+$|:/.test(host)
    return isOwn ? about.ok('It is free.') : about.broken(`${host} is no address of this host.`,
      `Set \`${key}\` to one that \`ip address\` shows.`)
  })
}

function unansweredAdvice(key: string, why: string): string {
  if (why === 'ETIMEDOUT') return 'A firewall here drops connections to it: let TCP pass.'
  return `See the log of the agent; it may run with another \`${key}\`.`
}

function judgeAnnounced({ agent: { examination }, configuration }: Facts): Finding[] {
  if (examination === null) return []
  const { announced, status } = examination
  const about = check('announced', status.host)
  if (announced.length === 0) return []
  const isLocal = announced.every((address) => isLoopback(parseHostPort(address)?.host ?? ''))
  if (!isLocal) return [about.ok(`Others know this host as ${status.host} at ${announced.join(', ')}.`)]
  const { bootstrap = [] } = configuration.config?.agentOptions ?? {}
  const isAlone = bootstrap.every((address) => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address))
  const found = `This host listens on the loopback interface only (${announced.join(', ')}): no other host reaches it.`
  const advice = 'Set `listen` to an address of this host that the others reach.'
  return [isAlone ? about.warning(found, advice) : about.broken(found, advice)]
}
