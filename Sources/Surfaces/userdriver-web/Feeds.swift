// Which cameras are being watched, and by how many browsers.

import UserDriverClient

/// One feed for all browsers that want the same of the same camera.
actor Feeds {
    struct Key: Hashable, Sendable {
        var device: String
        var request: CameraRequest
    }
    private struct Entry {
        let feed: CameraFeed
        var watchers: Int
    }

    private let client: UserDriverClient
    private var entries: [Key: Entry] = [:]
    /// Browsers that may watch at once.
    static let maximumWatchers = 64

    init(client: UserDriverClient) { self.client = client }

    var watchers: Int { entries.values.reduce(0) { $0 + $1.watchers } }

    /// `nil` where too many watch already. Each feed is given back with `leave`.
    func join(_ key: Key) -> CameraFeed? {
        guard watchers < Self.maximumWatchers else { return nil }
        if let entry = entries[key], entry.feed.end == nil {
            entries[key]?.watchers += 1
            return entry.feed
        }
        let feed = CameraFeed(client: client, device: key.device, request: key.request)
        entries[key] = Entry(feed: feed, watchers: 1)
        return feed
    }

    /// The camera stops when the last one leaves.
    func leave(_ key: Key, _ feed: CameraFeed) {
        guard let entry = entries[key], entry.feed === feed else { return feed.stop() }
        guard entry.watchers > 1 else {
            entries[key] = nil
            return feed.stop()
        }
        entries[key]?.watchers -= 1
    }
}
