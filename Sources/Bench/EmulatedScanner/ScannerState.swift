// All that the scanner is at a moment, and what requests, pages and faults change in it.

import USB
import USBEmulation

struct ScannerState: Sendable {
    var machine: ScanMachine
    var printer: IPPPrinter
    var pipes: [ScannerPipe]
    /// Of each interface: its alternate setting.
    var settings: [UInt8]
    var signal: (any EmulationSignal)?
    /// Nothing is answered any more.
    var isSilent = false
    /// Pages to be drawn, told once the state is free again.
    var orders: [(pipe: Int, order: PageOrder)] = []
    /// What is likely to be asked for next.
    var following: PageOrder?
    /// The cable is to be pulled, and perhaps plugged in again.
    var isUnplugging = false
    var plugsAgain = false

    init(machine: ScanMachine, printer: IPPPrinter, pipes: [ScannerPipe]) {
        self.machine = machine
        self.printer = printer
        self.pipes = pipes
        settings = [UInt8](repeating: 0, count: pipes.count)
    }

    func speaksHTTP(_ index: Int, _ layout: EmulatedScannerOptions.Layout) -> Bool {
        ScannerInterface.protocol(layout, alternateSetting: settings[index]) == ScannerInterface.overUSB
    }

    /// Answers requests that have come in whole, one after the other.
    mutating func pump(_ index: Int, now: UInt64, _ options: EmulatedScannerOptions) {
        while !pipes[index].isAnswering, let input = pipes[index].parser.next() {
            switch input {
            case .refused(let status): send(.text(status, [("Connection", "close")]), on: index, options)
            case .expectsContinue:
                pipes[index].start(OutgoingAnswer(FramedAnswer(bytes: Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))))
            case .request(let request): handle(request, on: index, now: now, options)
            }
        }
        if pipes[index].answer != nil { signal?.ready(endpoint: ScannerInterface.in(index)) }
    }

    private mutating func handle(_ request: HTTPRequest, on index: Int, now: UInt64, _ options: EmulatedScannerOptions) {
        if request.path == IPPPrinter.path {
            return send(printer.handle(request), on: index, options)
        }
        let reply = machine.handle(request, now: now)
        endPages(options)
        switch reply {
        case .answer(let answer):
            machine.notes.append("\(request.method) \(request.path): \(answer.status).")
            let isPost = request.method == "POST" && answer.status == 201
            send(
                answer, on: index, options, withoutBody: request.method == "HEAD",
                isPreceded: isPost && machine.faults.has(.continueFirst))
        case .page(let order):
            pipes[index].awaited = order.job
            orders.append((index, order))
            following = machine.following(order)
        }
    }

    private mutating func send(
        _ answer: HTTPAnswer, on index: Int, _ options: EmulatedScannerOptions, withoutBody: Bool = false, isPreceded: Bool = false
    ) {
        var framed = answer.framed(options.framing, isLastLineMissing: machine.faults.has(.noLastLine), withoutBody: withoutBody)
        if isPreceded {
            let head = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
            framed.bytes = head + framed.bytes
            framed.bodyStart += head.count
            framed.chunkEnds = framed.chunkEnds.map { $0 + head.count }
        }
        pipes[index].start(OutgoingAnswer(framed))
    }

    /// A page has been drawn.
    mutating func arrive(_ index: Int, _ order: PageOrder, _ bytes: [UInt8]?, now: UInt64, _ options: EmulatedScannerOptions) {
        // The pipe may have been reset meanwhile.
        guard pipes[index].awaited == order.job else {
            return machine.lost(OutgoingPage(job: order.job, sheet: order.sheet, side: order.side))
        }
        pipes[index].awaited = nil
        let answer = machine.answer(order, bytes)
        var outgoing = OutgoingAnswer(answer.framed(options.framing, isLastLineMissing: machine.faults.has(.noLastLine)))
        if answer.status == 200 {
            outgoing.page = OutgoingPage(job: order.job, sheet: order.sheet, side: order.side)
            outgoing.start = now + UInt64(options.pace.feedMilliseconds) * 1_000_000
            outgoing.bytesPerSecond = options.pace.bytesPerSecond
            let strikes = machine.faults.faults.filter {
                $0.kind.number == .byte && $0.number ?? 0 < outgoing.framed.bytes.count - outgoing.framed.bodyStart
            }
            if let first = strikes.min(by: { $0.number ?? 0 < $1.number ?? 0 }) {
                outgoing.strike = (outgoing.framed.bodyStart + (first.number ?? 0), first.kind)
                machine.faults.remove(first.kind, first.number)
            }
            machine.notes.append(
                "Sheet \(order.sheet), \(order.side == .front ? "front" : "back"), job \(order.job): \(answer.body.count) bytes.")
        }
        pipes[index].start(outgoing)
        signal?.ready(endpoint: ScannerInterface.in(index))
    }

    mutating func strike(_ kind: ScannerFaults.Kind, _ page: OutgoingPage) {
        machine.notes.append("Fault: \(kind.rawValue) in sheet \(page.sheet).")
        switch kind {
        case .silence: isSilent = true
        case .unplug, .replug:
            isSilent = true
            isUnplugging = true
            plugsAgain = kind == .replug
        default: break
        }
    }

    mutating func expire(now: UInt64, _ options: EmulatedScannerOptions) {
        machine.expire(now: now)
        endPages(options)
    }

    /// Of pages whose jobs have ended a little stays in the pipes.
    private mutating func endPages(_ options: EmulatedScannerOptions) {
        for job in machine.ended {
            for index in pipes.indices { pipes[index].cutPage(of: job, keeping: options.unreadBytesKept) }
        }
        machine.ended = []
    }

    /// What was in the pipes is gone.
    mutating func lostPages() { machine.losePages() }
}
