// What DNS-SD says of a scanner (service _uscan._tcp; Mopria eSCL 2.97 §5).

import ScannerClient

extension Announcement {
    init(_ scanner: ScannerCapabilities, identity: String, port: UInt16, name: String) {
        let sources = Set(scanner.sources.map(\.source))
        let inputs = [sources.contains(.flatbed) ? "platen" : nil, sources.isDisjoint(with: [.feeder, .feederDuplex]) ? nil : "adf"]
        let modes = Set(scanner.sources.flatMap(\.modes))
        let colours: [(ScanMode, String)] = [(.color, "color"), (.gray, "grayscale"), (.blackAndWhite, "binary")]
        let strings = [
            "txtvers=1",
            Self.string("ty", scanner.name),
            "rs=eSCL",
            "vers=" + EndpointText.version,
            Self.list("pdl", Set(scanner.sources.flatMap(\.formats)).sorted()),
            Self.list("cs", colours.filter { modes.contains($0.0) }.map(\.1)),
            Self.list("is", inputs.compactMap(\.self)),
            "duplex=" + (sources.contains(.feederDuplex) ? "T" : "F"),
            Self.string("UUID", identity),
        ]
        self.init(.scanner, port: port, name: name, strings: strings)
    }

    /// The instance's name without what tells it from others.
    static func base(_ scanner: ScannerCapabilities) -> String { base(scanner.name, otherwise: "Scanner") }
}
