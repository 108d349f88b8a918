// Which of a controller's endpoints serves one of a device's: told by the names that its driver gives them.

import USB

/// A name such as `ep1in`, `ep2in-bulk` (of a fixed number), `ep-a`, `ep-bin` (of any number).
struct GadgetEndpointName {
    let text: String
    /// `nil` for an endpoint that takes any number.
    private let number: UInt8?
    /// `nil` for one that goes both ways.
    private let direction: TransferDirection?
    /// `nil` for one of any type.
    private let type: TransferType?

    /// `nil` for a name that is not an endpoint's, and for the control endpoint.
    init?(_ text: String) {
        guard text.hasPrefix("ep") else { return nil }
        var rest = text.dropFirst(2)
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        if digits.isEmpty {
            guard rest.first == "-", rest.dropFirst().first?.isLetter == true else { return nil }
            number = nil
            rest = rest.dropFirst(2)
        } else {
            guard let value = UInt8(digits), (1...15).contains(value) else { return nil }
            number = value
            rest = rest.dropFirst(digits.count)
        }
        if rest.hasPrefix("in") {
            direction = .in
            rest = rest.dropFirst(2)
        } else if rest.hasPrefix("out") {
            direction = .out
            rest = rest.dropFirst(3)
        } else {
            direction = nil
        }
        switch rest {
        case "": type = nil
        case "-bulk": type = .bulk
        case "-int": type = .interrupt
        case "-iso": type = .isochronous
        default: return nil
        }
        self.text = text
    }

    /// How well it suits, best first; `nil` for not at all.
    private func rank(for endpoint: EndpointDescriptor) -> Int? {
        guard number == nil || number == endpoint.address.number, direction == nil || direction == endpoint.address.direction,
            type == nil || type == endpoint.transferType
        else { return nil }
        return (number == nil ? 4 : 0) + (direction == nil ? 2 : 0) + (type == nil ? 1 : 0)
    }

    /// The best of `names` for an endpoint, `nil` if none will do.
    static func choose(for endpoint: EndpointDescriptor, among names: some Collection<String>) -> String? {
        let candidates = names.compactMap { GadgetEndpointName($0) }.compactMap { name in
            name.rank(for: endpoint).map { (rank: $0, text: name.text) }
        }
        return candidates.min { ($0.rank, $0.text) < ($1.rank, $1.text) }?.text
    }
}
