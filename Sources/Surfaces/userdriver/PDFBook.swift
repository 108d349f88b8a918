// A PDF whose pages are JPEG pictures, as they are (ISO 32000-1 §7.4.8: DCTDecode).

/// Pages go in one after the other; the document comes out.
struct PDFBook {
    private var bytes = Array("%PDF-1.4\n%\u{e9}\u{e9}\n".utf8)
    /// Where each object begins, from number 1.
    private var offsets: [Int] = [0, 0]
    private var pages: [Int] = []

    var pageCount: Int { pages.count }

    /// Throws `CommandFailure` for what is no JPEG.
    mutating func add(jpeg: [UInt8], resolution: Int) throws {
        guard let frame = JPEGFrame(jpeg) else { throw CommandFailure("A page is no JPEG that can be put into a PDF.") }
        // Points: 72 to the inch.
        let width = Figure.decimal(Double(frame.width) * 72 / Double(max(resolution, 1)), places: 2)
        let height = Figure.decimal(Double(frame.height) * 72 / Double(max(resolution, 1)), places: 2)
        let colours =
            switch frame.components {
            case 1: "/DeviceGray"
            case 4: "/DeviceCMYK /Decode [1 0 1 0 1 0 1 0]"
            default: "/DeviceRGB"
            }
        let image = object(
            "/Type /XObject /Subtype /Image /Width \(frame.width) /Height \(frame.height) /ColorSpace \(colours) /BitsPerComponent 8 "
                + "/Filter /DCTDecode", stream: jpeg)
        let drawing = object("", stream: Array("q \(width) 0 0 \(height) 0 0 cm /I Do Q".utf8))
        pages.append(
            object(
                "/Type /Page /Parent 2 0 R /MediaBox [0 0 \(width) \(height)] /Contents \(drawing) 0 R "
                    + "/Resources << /XObject << /I \(image) 0 R >> >>", stream: nil))
    }

    /// The number of the object.
    private mutating func object(_ dictionary: String, stream: [UInt8]?) -> Int {
        offsets.append(bytes.count)
        write(offsets.count, dictionary, stream)
        return offsets.count
    }

    private mutating func write(_ number: Int, _ dictionary: String, _ stream: [UInt8]?) {
        let length = stream.map { " /Length \($0.count)" } ?? ""
        bytes += Array("\(number) 0 obj\n<< \(dictionary)\(length) >>\n".utf8)
        if let stream { bytes += Array("stream\n".utf8) + stream + Array("\nendstream\n".utf8) }
        bytes += Array("endobj\n".utf8)
    }

    /// The whole document.
    func finish() -> [UInt8] {
        var book = self
        book.offsets[0] = book.bytes.count
        book.write(1, "/Type /Catalog /Pages 2 0 R", nil)
        book.offsets[1] = book.bytes.count
        let kids = pages.map { "\($0) 0 R" }.joined(separator: " ")
        book.write(2, "/Type /Pages /Count \(pages.count) /Kids [\(kids)]", nil)
        let table = book.bytes.count
        // Each entry has 20 bytes (§7.5.4).
        var text = "xref\n0 \(book.offsets.count + 1)\n0000000000 65535 f \n"
        for offset in book.offsets {
            let digits = String(offset)
            text += String(repeating: "0", count: max(0, 10 - digits.count)) + digits + " 00000 n \n"
        }
        text += "trailer\n<< /Size \(book.offsets.count + 1) /Root 1 0 R >>\nstartxref\n\(table)\n%%EOF\n"
        return book.bytes + Array(text.utf8)
    }
}

/// What a JPEG's frame header says (ITU-T T.81 §B.2.2).
struct JPEGFrame: Hashable {
    var width: Int
    var height: Int
    var components: Int

    /// `nil` where there is none in these bytes.
    init?(_ bytes: [UInt8]) {
        guard bytes.starts(with: [0xff, 0xd8]) else { return nil }
        var place = 2
        while place + 4 <= bytes.count {
            guard bytes[place] == 0xff else { return nil }
            let marker = bytes[place + 1]
            // Fill bytes, and markers without a length.
            if marker == 0xff || marker == 0x01 || 0xd0...0xd7 ~= marker {
                place += marker == 0xff ? 1 : 2
                continue
            }
            let length = Int(bytes[place + 2]) << 8 | Int(bytes[place + 3])
            // SOF0 to SOF15, but for DHT, JPG and DAC.
            if 0xc0...0xcf ~= marker, ![0xc4, 0xc8, 0xcc].contains(marker) {
                guard place + 10 <= bytes.count else { return nil }
                height = Int(bytes[place + 5]) << 8 | Int(bytes[place + 6])
                width = Int(bytes[place + 7]) << 8 | Int(bytes[place + 8])
                components = Int(bytes[place + 9])
                guard width > 0, height > 0, [1, 3, 4].contains(components) else { return nil }
                return
            }
            guard length >= 2, marker != 0xda, marker != 0xd9 else { return nil }
            place += 2 + length
        }
        return nil
    }
}
