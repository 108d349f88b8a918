// The page's paths.

import Glibc
import HTTPServer
import UserDriverClient
import Wire

struct Site: HTTPSite {
    let client: UserDriverClient
    let feeds: Feeds
    let access: Access
    let calls: DeviceCalls
    let scans: ScanCalls
    /// How long a picture may take to come.
    private static let patience: Duration = .seconds(10)

    init(client: UserDriverClient, access: Access, isDemonstration: Bool) {
        self.client = client
        self.access = access
        feeds = Feeds(client: client)
        calls = DeviceCalls(client: client, isDemonstration: isDemonstration)
        scans = ScanCalls(client: client)
    }

    var headers: [(name: String, value: String)] { Access.headers }

    var interests: HTTPInterests {
        var interests = HTTPInterests()
        interests.headers = ["host", "origin", "sec-fetch-site", "authorization"]
        interests.query = ["token", "code", "device", "format", "size", "fps", "name", "value"] + ScanCalls.words
        interests.cookies = [access.cookie]
        return interests
    }

    func answer(_ request: Request) async -> Answer {
        switch access.judge(request) {
        case .allowed: return await allowed(request)
        case .keepToken: return Answer(303, [("Location", "/"), ("Set-Cookie", access.setCookie)], .bytes([]))
        case .refused(let status, let why): return Answer.text(status, why)
        }
    }

    private func allowed(_ request: Request) async -> Answer {
        if let answer = await scans.answer(request) { return answer }
        let actions = actions(at: request.path)
        if actions.isEmpty { return Answer.text(404, "There is nothing at this path.") }
        guard let action = actions.first(where: { $0.method == request.method }) else { return .wrongMethod(actions.map(\.method)) }
        return await action.answer(request)
    }

    private typealias Action = (method: String, answer: (Request) async -> Answer)

    /// What can be done at a path.
    private func actions(at path: String) -> [Action] {
        switch path {
        case "/healthz": [("GET", { _ in await health() })]
        case "/metrics": [("GET", { _ in await metrics() })]
        case "/snapshot.jpg": [("GET", { await picture($0, isStream: false) })]
        case "/stream.mjpg": [("GET", { await picture($0, isStream: true) })]
        case "/api/status": [("GET", { _ in await calls.status() })]
        case "/api/formats": [("GET", calls.formats)]
        case "/api/crashes": [("GET", calls.crashes)]
        case "/api/controls": [("GET", calls.controls), ("POST", calls.setControl)]
        case "/api/controls/reset": [("POST", calls.resetControls)]
        case "/api/code": [("POST", { _ in Answer.text(200, access.codes.make()) })]
        case "/api/restart": [("POST", calls.restart)]
        case "/api/kill" where calls.isDemonstration: [("POST", calls.kill)]
        default: PageFile.all[path].map { file in [("GET", { _ in Answer(200, type: file.type, file.bytes) })] } ?? []
        }
    }

    /// One picture, or as many as the browser takes.
    private func picture(_ request: Request, isStream: Bool) async -> Answer {
        let key: Feeds.Key
        do { key = try Self.key(of: request) } catch { return Answer.failure(error) }
        guard let feed = await feeds.join(key) else { return Answer.text(503, "\(Feeds.maximumWatchers) browsers are watching already.") }
        // A camera that can't be had is told as an error, not as a picture that never comes.
        let first = await within(Self.patience) { await feed.next(after: 0) }
        guard let first else {
            let end = feed.end
            await feeds.leave(key, feed)
            return end.map(Answer.failure) ?? Answer.text(502, "No picture arrived within 10 seconds.")
        }
        guard isStream else {
            await feeds.leave(key, feed)
            return Answer(200, type: "image/jpeg", Array(first.part[first.jpeg]))
        }
        let stream = PictureStream(first: first, feed: feed) { [feeds] in Task { await feeds.leave(key, feed) } }
        return Answer(200, [("Content-Type", "multipart/x-mixed-replace; boundary=\(FeedPicture.boundary)")], .stream(stream, length: nil))
    }

    /// `device`, `format`, `size` (WIDTHxHEIGHT) and `fps` of a request.
    static func key(of request: Request) throws -> Feeds.Key {
        var wanted = CameraRequest(format: request.query["format"]?.lowercased())
        if let size = request.query["size"] {
            let sides = size.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
            guard sides.count == 2, let width = sides[0], let height = sides[1], (1...65_536).contains(width), (1...65_536).contains(height)
            else { throw WebError("size must be WIDTHxHEIGHT, as in 1280x720.") }
            (wanted.width, wanted.height) = (width, height)
        }
        if let fps = request.query["fps"] {
            guard let rate = Double(fps), rate > 0, rate <= 1000 else { throw WebError("fps must be a number up to 1000.") }
            wanted.fps = rate
        }
        return Feeds.Key(device: try DeviceCalls.device(of: request), request: wanted)
    }

    private func health() async -> Answer {
        do {
            _ = try await client.devices()
            return Answer.text(200, "ok")
        } catch { return Answer.text(503, "\(error)") }
    }

    private func metrics() async -> Answer {
        do {
            let text = MetricsText.of(try await client.devices(), watchers: await feeds.watchers)
            return Answer.text(200, text, type: "text/plain; version=0.0.4; charset=utf-8")
        } catch { return Answer.text(503, "\(error)") }
    }
}

/// What the body gives, or `nil` after that time; the body is cancelled then.
func within<T: Sendable>(_ limit: Duration, _ body: @escaping @Sendable () async -> T?) async -> T? {
    await withTaskGroup(of: T?.self) { group in
        group.addTask(operation: body)
        group.addTask {
            // Cancelled when the body is first, which is all the same here.
            try? await Task.sleep(for: limit)
            return nil
        }
        let first = await group.next() ?? nil
        group.cancelAll()
        return first
    }
}
