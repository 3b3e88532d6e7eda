/** What a TLS socket of Node knows about its session. */
import type { TLSSocket } from 'node:tls'
import type { TlsDigest } from '../digest.js'

/** The facts of a handshake that has just succeeded. */
export function tlsDigest(
  secured: TLSSocket,
  sni: string,
  handshakeMs: number,
  peerVerified: boolean,
): TlsDigest {
  const peerCertificate = secured.getPeerX509Certificate() ?? null
  return {
    version: secured.getProtocol() ?? '',
    cipher: secured.getCipher().standardName,
    sni,
    alpn: secured.alpnProtocol || '',
    resumed: secured.isSessionReused(),
    handshakeMs,
    peerCertificate,
    peerVerified: peerVerified && peerCertificate !== null,
  }
}
