// A PDF whose pages are JPEG pictures, as they are (ISO 32000-1 §7.4.8: DCTDecode).

/// Pages go in one after the other. What comes out is the text around the pictures: the caller
/// writes each picture in between, and need not hold them all.
public struct PDFBook: Sendable {
    /// How long the document is, up to `text`.
    private var length = 0
    private var text = Array("%PDF-1.4\n%\u{e9}\u{e9}\n".utf8)
    /// Where each object begins, from number 1.
    private var offsets: [Int] = [0, 0]
    private var pages: [Int] = []

    public init() {}

    public var pageCount: Int { pages.count }

    /// What stands before and behind a picture of `length` bytes. `resolution` is in dots per inch.
    public mutating func page(_ frame: JPEGFrame, length: Int, resolution: Int) -> (before: [UInt8], behind: [UInt8]) {
        let colours =
            switch frame.components {
            case 1: "/DeviceGray"
            case 4: "/DeviceCMYK /Decode [1 0 1 0 1 0 1 0]"
            default: "/DeviceRGB"
            }
        let image = begin(
            "/Type /XObject /Subtype /Image /Width \(frame.width) /Height \(frame.height) /ColorSpace \(colours) /BitsPerComponent 8 "
                + "/Filter /DCTDecode /Length \(length)")
        text += "stream\n".utf8
        let before = take()
        self.length += length
        text += "\nendstream\nendobj\n".utf8
        let (width, height) = (Self.points(frame.width, resolution), Self.points(frame.height, resolution))
        let strokes = "q \(width) 0 0 \(height) 0 0 cm /I Do Q"
        let drawing = begin("/Length \(strokes.utf8.count)")
        text += "stream\n\(strokes)\nendstream\nendobj\n".utf8
        pages.append(
            begin(
                "/Type /Page /Parent 2 0 R /MediaBox [0 0 \(width) \(height)] /Contents \(drawing) 0 R "
                    + "/Resources << /XObject << /I \(image) 0 R >> >>"))
        text += "endobj\n".utf8
        return (before, take())
    }

    /// A page's part of the document, with its picture. Throws if it is not a JPEG.
    public mutating func page(jpeg: [UInt8], resolution: Int) throws(PictureError) -> [UInt8] {
        guard let frame = JPEGFrame(jpeg) else { throw PictureError(.malformed, "A page is not a JPEG that can be put into a PDF.") }
        let (before, behind) = page(frame, length: jpeg.count, resolution: resolution)
        return before + jpeg + behind
    }

    /// The document's end. Nothing follows it.
    public mutating func end() -> [UInt8] {
        offsets[0] = length + text.count
        text += "1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n".utf8
        offsets[1] = length + text.count
        let kids = pages.map { "\($0) 0 R" }.joined(separator: " ")
        text += "2 0 obj\n<< /Type /Pages /Count \(pages.count) /Kids [\(kids)] >>\nendobj\n".utf8
        let table = length + text.count
        // Each entry has 20 bytes (§7.5.4).
        text += "xref\n0 \(offsets.count + 1)\n0000000000 65535 f \n".utf8
        for offset in offsets { text += (Self.padded(offset, to: 10) + " 00000 n \n").utf8 }
        text += "trailer\n<< /Size \(offsets.count + 1) /Root 1 0 R >>\nstartxref\n\(table)\n%%EOF\n".utf8
        return take()
    }

    /// The number of the object that begins here.
    private mutating func begin(_ dictionary: String) -> Int {
        offsets.append(length + text.count)
        text += "\(offsets.count) 0 obj\n<< \(dictionary) >>\n".utf8
        return offsets.count
    }

    private mutating func take() -> [UInt8] {
        defer {
            length += text.count
            text = []
        }
        return text
    }

    /// 72 to the inch.
    private static func points(_ pixels: Int, _ resolution: Int) -> String {
        let resolution = max(resolution, 1)
        let hundredths = (pixels * 7200 + resolution / 2) / resolution
        return "\(hundredths / 100).\(padded(hundredths % 100, to: 2))"
    }

    private static func padded(_ number: Int, to count: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, count - digits.count)) + digits
    }
}
