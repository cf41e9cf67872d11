// A mail server for development that delivers nothing: mail comes in by SMTP and is read on a page or as JSON.
//   GET /              the page            GET /api/mails?to=address   the mails, newest first
//   GET /mails/<id>    one mail            DELETE /api/mails           forget them all
//   POST /api/fail?n=3                     refuse the next three mails with 451, as a busy server would
import { createServer } from 'node:http'
import { isIP } from 'node:net'
import PostalMime from 'postal-mime'
import { SMTPServer } from 'smtp-server'
import { listPage, mailDocument, mailPage, policy } from './inbox-page.mjs'

const KEEP = 500

/** Starts both servers; port 0 takes any free one. `names` are what it is called beside its address and `localhost`. */
export const startInbox = async ({
  host = '127.0.0.1',
  smtpPort = 0,
  httpPort = 0,
  names = /** @type {string[]} */ ([]),
} = {}) => {
  const inbox = { names, mails: [], refusals: 0, lastId: 0 }
  const [smtp, http] = [smtpServer(inbox), createServer((request, response) => answer(inbox, request, response))]
  await Promise.all([listen(smtp, smtpPort, host), listen(http, httpPort, host)])
  return {
    smtpUrl: `smtp://${host}:${smtp.server.address().port}`,
    url: `http://${host}:${http.address().port}`,
    close: () => {
      http.closeAllConnections()
      return Promise.all([smtp, http].map((server) => new Promise((resolve) => server.close(resolve))))
    },
  }
}

const listen = (server, port, host) =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })

const smtpServer = (inbox) => {
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData: async (stream, { envelope }, done) => {
      try {
        const chunks = []
        for await (const chunk of stream) chunks.push(chunk)
        if (inbox.refusals > 0) {
          inbox.refusals -= 1
          return done(Object.assign(new Error('Try again later'), { responseCode: 451 }))
        }
        const {
          subject = '',
          text = '',
          html = '',
          messageId = '',
          headers,
        } = await PostalMime.parse(Buffer.concat(chunks))
        inbox.lastId += 1
        inbox.mails.unshift({
          id: inbox.lastId,
          at: new Date().toISOString(),
          from: envelope.mailFrom ? envelope.mailFrom.address : '',
          to: envelope.rcptTo.map(({ address }) => address),
          subject,
          text,
          html,
          messageId,
          headers: Object.fromEntries(headers.map(({ key, value }) => [key, value])),
        })
        inbox.mails.splice(KEEP)
        done()
      } catch (error) {
        done(error)
      }
    },
  })
  // A client that hangs up is no reason to end.
  server.on('error', () => {})
  return server
}

/** A page of another site whose name leads here could read the mails: only an address, `localhost` and names of its own are it. */
const isOwnHost = (names, host = '') => {
  if (!URL.canParse(`http://${host}`)) return false
  const { hostname } = new URL(`http://${host}`)
  return hostname === 'localhost' || isIP(hostname.replace(/^\[|\]$/g, '')) > 0 || names.includes(hostname)
}

/** A browser says where a request comes from. */
const isOwnPage = ({ host, origin, 'sec-fetch-site': site }) =>
  site === undefined
    ? origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)
    : ['same-origin', 'none'].includes(site)

const answer = (inbox, { method, url, headers: asked }, response) => {
  const { pathname, searchParams } = new URL(url, 'http://inbox')
  const send = (status, type, body, headers = {}) =>
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', ...headers }).end(body)
  const json = (body) => send(200, 'application/json', JSON.stringify(body))
  const page = ({ html, nonce }) =>
    send(200, 'text/html; charset=utf-8', html, { 'content-security-policy': policy(nonce) })

  if (!isOwnHost(inbox.names, asked.host))
    return send(403, 'text/plain', 'The inbox has another name here. Tell it: INBOX_NAMES=name,name')
  if (method !== 'GET' && method !== 'HEAD' && !isOwnPage(asked))
    return send(403, 'text/plain', 'Only pages of the inbox itself may do that.')

  const [, id, part] = /^\/mails\/(\d+)(\/html)?$/.exec(pathname) ?? []
  const mail = inbox.mails.find((one) => String(one.id) === id)
  const to = searchParams.get('to')?.toLowerCase()
  switch (`${method} ${mail ? `/mails/:id${part ?? ''}` : pathname}`) {
    case 'GET /':
      return page(listPage(inbox.mails))
    case 'GET /mails/:id':
      return page(mailPage(mail))
    case 'GET /mails/:id/html':
      return send(200, 'text/html; charset=utf-8', mailDocument(mail), { 'content-security-policy': policy() })
    case 'GET /api/mails':
      return json(
        to ? inbox.mails.filter((one) => one.to.some((address) => address.toLowerCase() === to)) : inbox.mails,
      )
    case 'DELETE /api/mails':
      inbox.mails.length = 0
      return json({})
    case 'POST /api/fail':
      inbox.refusals = Number(searchParams.get('n') ?? 1) || 0
      return json({ refusing: inbox.refusals })
    default:
      return send(404, 'text/plain', 'Not found')
  }
}
