// A page as the emulated scanner makes it.

import EmulatedScanner

/// A4 at 75 dpi, in colour, as JPEG.
struct ExpectedPage {
    let bytes: [UInt8]

    init(sheet: Int, isBack: Bool, job: Int, isDuplex: Bool, isFlat: Bool) throws {
        var settings = ScanSettings()
        settings.resolution = 75
        settings.isDuplex = isDuplex
        settings.source = isFlat ? .platen : .feeder
        bytes = try EmulatedScanner.page(sheet: sheet, side: isBack ? .back : .front, job: job, settings: settings)
    }
}
