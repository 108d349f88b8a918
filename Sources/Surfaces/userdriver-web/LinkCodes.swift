// Links that work once.

import Synchronization

/// What a browser is started with stands in its command line, which every user of this machine can read. So `userdriver view` starts it
/// with a code in place of the token: whoever comes first gets in, within a minute, and nobody after that.
final class LinkCodes: Sendable {
    private let codes = Mutex<[(code: WebToken, until: ContinuousClock.Instant)]>([])
    private static let lifetime: Duration = .seconds(60)
    private static let most = 16

    func make() -> String {
        let code = WebToken.make()
        codes.withLock { $0 = $0.suffix(Self.most - 1) + [(code, .now + Self.lifetime)] }
        return code.text
    }

    func take(_ given: String) -> Bool {
        codes.withLock { codes in
            codes.removeAll { $0.until < .now }
            guard let index = codes.firstIndex(where: { $0.code.matches(given) }) else { return false }
            codes.remove(at: index)
            return true
        }
    }
}
