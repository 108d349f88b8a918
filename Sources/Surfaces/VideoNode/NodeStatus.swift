// What a node says by itself: controls that have changed and its button, on the status endpoint (UVC 1.5 §2.4.2.2).

import UVC

/// What waits for the host to fetch it. Values in, values out.
struct NodeStatus {
    /// Of a control's value and what stands before it (pan and tilt are the longest: 5 + 8 bytes).
    static let packetSize = 16
    /// A button that is pressed faster than the host asks loses the oldest press with its release.
    private static let mostButtons = 8

    private var waiting: [StatusEvent] = []
    /// Whether the host asks. Where it does not, nobody has the node open, and nothing is kept: whoever opens it asks for values, and what was
    /// pressed before is no business of theirs.
    private(set) var isAsked = false

    mutating func forget() { self = NodeStatus() }

    /// Whether it waits now.
    mutating func add(_ event: StatusEvent) -> Bool {
        guard isAsked else { return false }
        switch event.kind {
        case .control(let entity, let selector, _, _):
            // A control has one value: the newest, in the place of one that was not fetched.
            let index = waiting.firstIndex {
                if case .control(entity, selector, _, _) = $0.kind { true } else { false }
            }
            if let index { waiting[index] = event } else { waiting.append(event) }
        case .button:
            let buttons = waiting.indices.filter { if case .button = waiting[$0].kind { true } else { false } }
            if buttons.count >= Self.mostButtons { for index in buttons.prefix(2).reversed() { waiting.remove(at: index) } }
            waiting.append(event)
        }
        return true
    }

    /// The host asks.
    mutating func next() -> [UInt8]? {
        isAsked = true
        return waiting.isEmpty ? nil : Array(waiting.removeFirst().bytes.prefix(Self.packetSize))
    }
}
