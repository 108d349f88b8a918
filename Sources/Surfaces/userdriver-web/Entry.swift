// `userdriver-web`: a page that shows cameras and scanners, for a browser on this machine.

import ArgumentParser
import Glibc
import HTTPServer
import UserDriverClient

@main
struct WebCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "userdriver-web",
        abstract: "Serve a web page: cameras' live pictures, controls and health, and scanning.",
        discussion: """
            It listens on this machine only and prints a link with a token in it: anyone who opens the link can watch, set \
            controls, and scan. The token is kept in a file, so that the link still works after a restart. `userdriver view` finds \
            the page by itself.

            To reach it from another machine, put a TLS proxy in front of it, and give its name with --host.

            These paths take the page's cookie or `Authorization: Bearer TOKEN`:
              /stream.mjpg?device=ID&format=mjpeg&size=1280x720   live pictures
              /snapshot.jpg?device=ID                             one picture
              /api/scan, /scan/page, /scan/book.pdf               scans and their pages (Docs/Web.md)
              /metrics                                            for Prometheus
            and this one needs neither:
              /healthz                                            200 while the daemon answers

            Example:
              userdriver-web
              userdriver-web --port 0 --demo
            """)

    @Option(
        name: .customLong("runtime-dir"),
        help: ArgumentHelp("The folder of the daemon to show. Left out: the one that `userdriver` chooses.", valueName: "folder"),
        completion: .directory)
    var runtimeDirectory: String?

    @Option(
        help: ArgumentHelp(
            "The IP address to listen on. Use another than this machine's loopback only behind a proxy.", valueName: "address"))
    var address = "127.0.0.1"

    @Option(
        help: ArgumentHelp(
            "The port to listen on; 0 for any that is free. Left out: 8720, or any free port if that is taken.", valueName: "port"))
    var port: UInt16?

    @Option(help: ArgumentHelp("Also answer to this name, as in cameras.example.org. Repeatable.", valueName: "name"))
    var host: [String] = []

    @Option(
        help: ArgumentHelp("Where the link's token is kept. Left out: web-token in the daemon's folder.", valueName: "file"),
        completion: .file())
    var tokenFile: String?

    @Flag(help: "Make a token for this run only, and don't save it.")
    var newToken = false

    @Flag(name: .customLong("demo"), help: "Show a button that kills a camera's driver, for a demonstration.")
    var isDemonstration = false

    func validate() throws {
        if newToken, tokenFile != nil { throw ValidationError("--new-token and --token-file can't be combined.") }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        let client = UserDriverClient(runtimeDirectory: runtimeDirectory.map { RuntimeDirectory($0) })
        let shown = address.contains(where: { $0 == ":" }) ? "[\(address)]" : address
        do {
            let token = newToken ? WebToken.make() : try WebToken.load(tokenFile ?? client.runtimeDirectory.path + "/web-token")
            let names = Access.localNames.union((host + [shown]).map { $0.lowercased() })
            let site = Site(client: client, access: Access(token: token, names: names), isDemonstration: isDemonstration)
            let port = try listen(HTTPServer(site: site))
            let link = "http://\(shown):\(port)/?token=\(token.text)"
            if !newToken { PageLink.leave(link, in: client.runtimeDirectory) }
            print(link)
            // Through a pipe, which is not flushed by the line.
            fflush(nil)
        } catch {
            var line = Array("userdriver-web: \(error)\n".utf8)
            _ = write(STDERR_FILENO, &line, line.count)
            throw ExitCode(1)
        }
        // Signals end the process; its sockets and streams go with it.
        while true { pause() }
    }

    private static let usualPort: UInt16 = 8720

    private func listen(_ server: HTTPServer) throws -> UInt16 {
        if let port {
            do { return try server.listen(address: address, port: port) } catch {
                throw WebError("\(error) Choose another with --port.")
            }
        }
        do { return try server.listen(address: address, port: Self.usualPort) } catch {
            return try server.listen(address: address, port: 0)
        }
    }
}
