# One command each. Everything installs what it needs by itself.
SWIFT ?= swift
PREFIX ?= /usr
DESTDIR ?=
RELEASE = .build/release
export USERDRIVER_BIN = $(CURDIR)/$(RELEASE)

.PHONY: build run test lint format fuzz campaign bench man install clean dependencies

dependencies:
	@Scripts/dependencies

# Release executables with the Swift runtime linked in, and the drivers' bundles beside them.
build: dependencies
	$(SWIFT) build -c release --static-swift-stdlib
	@Scripts/bundles $(RELEASE)

run: build
	$(RELEASE)/userdriver up --emulate webcam

# Unit tests are debug builds; the end-to-end tests among them drive the release executables.
test: build
	$(SWIFT) test

lint:
	$(SWIFT) format lint --strict --recursive --parallel --configuration .swift-format Package.swift Sources Tests
	@Scripts/lint

format:
	$(SWIFT) format --in-place --recursive --parallel --configuration .swift-format Package.swift Sources Tests

# A minute for each parser, or FUZZ_SECONDS.
FUZZ_SECONDS ?= 60
fuzz: build
	$(RELEASE)/fuzz all --seconds $(FUZZ_SECONDS) --corpus Tests/Corpus

# FAULTS injected into the drivers of emulated cameras while clients watch; CAMPAIGN for more (see campaign --help).
FAULTS ?= 300
SEED ?= 1
campaign: build
	$(RELEASE)/campaign --bin $(CURDIR)/$(RELEASE) --faults $(FAULTS) --seed $(SEED) $(CAMPAIGN)

bench: build
	$(RELEASE)/benchmarks

# The manual pages in Docs/man, from the commands' own help.
man: build
	$(SWIFT) build --product generate-manual
	.build/debug/generate-manual-tool $(RELEASE)/userdriver --output-directory Docs/man --multi-page
	.build/debug/generate-manual-tool $(RELEASE)/userdriverd --output-directory Docs/man
	rm -f Docs/man/userdriver.help.1

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/userdriver/drivers $(DESTDIR)$(PREFIX)/share/man/man1
	# The key that signed this build: its drivers are trusted by the daemon that is installed with them.
	install -m 644 $(RELEASE)/allowed_signers $(DESTDIR)$(PREFIX)/lib/userdriver/
	install -m 644 Docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 755 $(RELEASE)/userdriver $(RELEASE)/userdriverd $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(RELEASE)/usbip-port $(DESTDIR)$(PREFIX)/lib/userdriver/
	for bundle in $(RELEASE)/*.driver; do \
		install -d $(DESTDIR)$(PREFIX)/lib/userdriver/drivers/$$(basename $$bundle) && \
		install -m 644 $$bundle/driver.yaml $$bundle/driver.yaml.sig $(DESTDIR)$(PREFIX)/lib/userdriver/drivers/$$(basename $$bundle)/ && \
		install -m 755 $$bundle/*-driver $(DESTDIR)$(PREFIX)/lib/userdriver/drivers/$$(basename $$bundle)/ || exit 1; done

clean:
	rm -rf .build
