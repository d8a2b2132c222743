import { runConformanceTests } from '@durable-streams/server-conformance-tests'

runConformanceTests({ baseUrl: process.env.SUITE_URL, longPollTimeoutMs: Number(process.env.SUITE_WAIT_MS), subscriptions: false })
