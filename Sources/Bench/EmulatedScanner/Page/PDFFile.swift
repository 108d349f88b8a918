// A PDF of one page that is one JPEG (PDF 1.4: DCTDecode).

enum PDFFile {
    static func onePage(jpeg: [UInt8], width: Int, height: Int, resolution: Int, isGrey: Bool) -> [UInt8] {
        var bytes = Array("%PDF-1.4\n%\u{e2}\u{e3}\n".utf8)
        var offsets: [Int] = []
        func add(_ dictionary: String, stream: [UInt8]? = nil) {
            offsets.append(bytes.count)
            bytes += Array("\(offsets.count) 0 obj\n\(dictionary)\n".utf8)
            if let stream { bytes += Array("stream\n".utf8) + stream + Array("\nendstream\n".utf8) }
            bytes += Array("endobj\n".utf8)
        }
        let (wide, high) = (points(width, resolution), points(height, resolution))
        let content = Array("q \(wide) 0 0 \(high) 0 0 cm /Page Do Q".utf8)
        add("<< /Type /Catalog /Pages 2 0 R >>")
        add("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
        add(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 \(wide) \(high)] /Contents 4 0 R /Resources << /XObject << /Page 5 0 R >> >> >>")
        add("<< /Length \(content.count) >>", stream: content)
        add(
            "<< /Type /XObject /Subtype /Image /Width \(width) /Height \(height) /ColorSpace /\(isGrey ? "DeviceGray" : "DeviceRGB")"
                + " /BitsPerComponent 8 /Filter /DCTDecode /Length \(jpeg.count) >>", stream: jpeg)
        let table = bytes.count
        var end = "xref\n0 \(offsets.count + 1)\n0000000000 65535 f \n"
        for offset in offsets {
            let digits = String(offset)
            end += String(repeating: "0", count: 10 - digits.count) + digits + " 00000 n \n"
        }
        end += "trailer\n<< /Size \(offsets.count + 1) /Root 1 0 R >>\nstartxref\n\(table)\n%%EOF\n"
        return bytes + Array(end.utf8)
    }

    /// Points (1/72 inch) with two digits.
    private static func points(_ pixels: Int, _ resolution: Int) -> String {
        let hundredths = pixels * 7200 / resolution
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
