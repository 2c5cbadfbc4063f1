// Evaluates requests against policies: a JSON document from stdin, the results as a list to stdout.
import { readFileSync } from 'node:fs'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const { account, policies, questions } = JSON.parse(readFileSync(0, 'utf8'))
const named = (index) => ({ name: String(index), policy: policies[index] })
const results = []
for (const { principal, action, resource, context, identity, own, boundary } of questions) {
  const answer = await runSimulation(
    {
      request: { principal, action, resource: { resource, accountId: account }, contextVariables: context },
      identityPolicies: [named(identity)],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: own === null ? undefined : policies[own],
      permissionBoundaryPolicies: boundary === null ? undefined : [named(boundary)],
    },
    {}
  )
  results.push(answer.resultType === 'error' ? `${answer.errors.message} ${JSON.stringify(answer.errors)}` : answer.overallResult)
}
process.stdout.write(JSON.stringify(results))
