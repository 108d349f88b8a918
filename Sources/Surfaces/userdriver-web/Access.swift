// Who may see the page: whoever has the token, from pages of our own, under names of our own.

import HTTPServer

/// Refuses what does not come from the page itself or from a program with the token, and says to browsers what the page may do.
///
/// Names guard against DNS rebinding, origins against other sites' pages, the cookie's SameSite against their links.
struct Access: Sendable {
    let token: WebToken
    /// What `Host` may be, without the port, in lower case.
    let names: Set<String>
    let codes = LinkCodes()

    static let localNames: Set<String> = ["localhost", "127.0.0.1", "[::1]"]
    /// A month, in seconds.
    private static let cookieAge = 30 * 24 * 3600
    /// Paths that need no token.
    private static let open: Set<String> = ["/healthz"]

    enum Verdict: Equatable {
        case allowed
        /// The token came in the link: keep it in a cookie, out of the address.
        case keepToken
        case refused(UInt32, String)
    }

    func judge(_ request: Request) -> Verdict {
        guard let host = request.headers["host"], names.contains(Self.name(of: host)) else {
            return .refused(421, "This server does not go by that name. Add it with --host.")
        }
        // A link on another site's page may lead here; nothing else of it may.
        let isForeign = request.headers["sec-fetch-site"] == "cross-site" && request.path != "/"
        if isForeign || request.headers["origin"].map({ !isOwn($0, host) }) ?? false {
            return .refused(403, "Other sites may not use this page.")
        }
        if Self.open.contains(request.path) { return .allowed }
        if request.path == "/", let given = request.query["token"], token.matches(given) { return .keepToken }
        if request.path == "/", let given = request.query["code"], codes.take(given) { return .keepToken }
        if let given = request.headers["authorization"], given.hasPrefix("Bearer "), token.matches(given.dropFirst(7)) { return .allowed }
        if let given = request.cookies[cookie], token.matches(given) { return .allowed }
        return .refused(401, "Open the link that userdriver-web printed: it has the token in it.")
    }

    /// Browsers keep cookies by names and hosts, not by ports: another server's on this machine has another name.
    var cookie: String { "userdriver-web-" + token.text.prefix(8) }

    /// `Origin` of a page that this server, or a proxy before it, has served.
    private func isOwn(_ origin: String, _ host: String) -> Bool {
        if origin.hasPrefix("http://") { return origin.dropFirst(7) == host }
        return origin.hasPrefix("https://") && names.contains(Self.name(of: String(origin.dropFirst(8))))
    }

    /// Without the port, in lower case.
    static func name(of host: String) -> String {
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") { return host[...end].lowercased() }
        return host.prefix { $0 != ":" }.lowercased()
    }

    var setCookie: String { "\(cookie)=\(token.text); Path=/; Max-Age=\(Self.cookieAge); HttpOnly; SameSite=Strict" }

    /// On every answer.
    static let headers: [(name: String, value: String)] = [
        (
            "Content-Security-Policy",
            "default-src 'none'; img-src 'self' blob: data:; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
                + "form-action 'none'; frame-ancestors 'none'"
        ),
        ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ]
}
