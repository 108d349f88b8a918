// What `io.userdriver` says of a stream: the supervisor's figures, and beside them what the
// driver's class shows.

extension DeviceStatus {
    /// A stream that the driver has open or is opening, whether or not somebody watches it just
    /// now.
    ///
    /// As JSON one flat object: what the driver shows is beside the supervisor's own members, which
    /// it can't replace.
    public struct Stream: Codable, Hashable, Sendable {
        /// `"video"`
        public var name: String
        public var frames: UInt64
        public var lost: UInt64
        public var clients: Int
        /// Who the clients are; absent where the daemon does not say.
        public var watchers: [Watcher]?
        /// What the driver says of the frames, under the names of its class: for a webcam `format`,
        /// `width`, `height`, `fps`.
        public var shown: [String: JSONValue]

        public init(
            name: String, frames: UInt64, lost: UInt64, clients: Int, watchers: [Watcher]? = nil, shown: [String: JSONValue] = [:]
        ) {
            self.name = name
            self.frames = frames
            self.lost = lost
            self.clients = clients
            self.watchers = watchers
            self.shown = shown.filter { CodingKeys(rawValue: $0.key) == nil }
        }

        private enum CodingKeys: String, CodingKey { case name, frames, lost, clients, watchers }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            name = try container.decodeIfPresent(String.self, forKey: .name) ?? ""
            frames = try container.decode(UInt64.self, forKey: .frames)
            lost = try container.decode(UInt64.self, forKey: .lost)
            clients = try container.decode(Int.self, forKey: .clients)
            watchers = try container.decodeIfPresent([Watcher].self, forKey: .watchers)
            shown = try [String: JSONValue](from: decoder).filter { CodingKeys(rawValue: $0.key) == nil }
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: AnyKey.self)
            for (name, value) in shown where CodingKeys(rawValue: name) == nil { try container.encode(value, forKey: AnyKey(name)) }
            try container.encode(name, forKey: AnyKey(CodingKeys.name.rawValue))
            try container.encode(frames, forKey: AnyKey(CodingKeys.frames.rawValue))
            try container.encode(lost, forKey: AnyKey(CodingKeys.lost.rawValue))
            try container.encode(clients, forKey: AnyKey(CodingKeys.clients.rawValue))
            try container.encodeIfPresent(watchers, forKey: AnyKey(CodingKeys.watchers.rawValue))
        }

        private struct AnyKey: CodingKey {
            var stringValue: String
            var intValue: Int? { nil }
            init(_ name: String) { stringValue = name }
            init?(stringValue: String) { self.init(stringValue) }
            init?(intValue: Int) { nil }
        }
    }
}
