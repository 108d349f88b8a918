// Sheets of paper by their names.

public import ScannerInterface

/// A sheet of paper, in 1/300 inch.
public struct PaperSize: Hashable, Sendable {
    public var width: Int
    public var height: Int

    /// In tenths of a millimetre.
    private static let known: [(name: String, width: Int, height: Int)] = [
        ("A3", 2970, 4200), ("A4", 2100, 2970), ("A5", 1480, 2100), ("A6", 1050, 1480), ("B5", 1760, 2500), ("Letter", 2159, 2794),
        ("Legal", 2159, 3556),
    ]

    /// `A4`, or `210x148` in millimetres.
    public init?(_ text: String) {
        let text = text.lowercased()
        if let paper = Self.known.first(where: { $0.name.lowercased() == text }) {
            self.init(tenths: paper.width, paper.height)
            return
        }
        let parts = text.split(whereSeparator: { $0 == "x" || $0 == "×" })
        guard parts.count == 2, let width = Double(parts[0]), let height = Double(parts[1]), (1...2000).contains(width),
            (1...2000).contains(height)
        else { return nil }
        self.init(tenths: Int(width * 10), Int(height * 10))
    }

    private init(tenths width: Int, _ height: Int) {
        self.width = (width * 300 + 127) / 254
        self.height = (height * 300 + 127) / 254
    }

    /// The names of those that a source has room for, to within a millimetre.
    public static func names(fitting room: ScannerCapabilities.Size) -> [String] {
        known.filter { paper in
            let size = PaperSize(tenths: paper.width, paper.height)
            // No sum: the room is what the device says.
            return size.width - 12 <= room.width && size.height - 12 <= room.height
        }.map(\.name)
    }
}
