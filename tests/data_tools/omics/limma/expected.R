# Made facts.csv and expected.csv beside it, with R 4.2.2 and limma 3.54.1: Rscript expected.R
suppressMessages(library(limma))
set.seed(7)
n <- 12; genes <- 6
plate <- c("P1","P1","P1","P1","P1","P2","P2","P2","P2","P3","P3","P3")
multiplex <- c("m2","m1","m3","m1","m2","m3","m1","m2","m3","m1","m2","m1")
nested <- c("n1","n1","n1","n2","n2","n3","n3","n4","n4","n5","n5","n5")
drug <- c("a","b","a","b","c","a","c","b","a","b","c","a")
alone <- c("a","a","b","b","a","b","a","b","a","c","c","c")
rin <- c(8.1,7.5,9.2,6.8,8.8,7.0,9.9,8.3,6.1,7.7,9.0,8.4)
x <- round(matrix(rnorm(genes * n, 8, 2), genes, n), 2)
x[2, c(3, 8)] <- NA
x[5, plate == "P2"] <- NA
x[6, c(2, 4, 8, 10)] <- NA
of_drug <- model.matrix(~ 0 + drug)
centred <- function(x) scale(x, scale = FALSE)
cases <- list(
  x = x,
  batch = removeBatchEffect(x, batch = plate),
  batch2 = removeBatchEffect(x, batch = plate, batch2 = multiplex),
  batch2_condition = removeBatchEffect(x, batch = plate, batch2 = multiplex, design = of_drug),
  covariate = removeBatchEffect(x, batch = plate, covariates = centred(rin), design = of_drug),
  two_covariates = removeBatchEffect(x, covariates = centred(cbind(rin, seq_len(n)))),
  raw_covariate = removeBatchEffect(x, batch = plate, batch2 = multiplex, covariates = rin, design = of_drug),
  nested = removeBatchEffect(x, batch = nested, batch2 = plate),
  confounded = removeBatchEffect(x, batch = plate, design = model.matrix(~ 0 + alone))
)
write.table(rbind(plate, multiplex, nested, drug, alone, rin), "facts.csv", sep = ",", quote = FALSE, col.names = NA)
table <- do.call(rbind, lapply(names(cases), function(name) cbind(name, format(unname(cases[[name]]), digits = 13, trim = TRUE))))
write.table(table, "expected.csv", sep = ",", quote = FALSE, row.names = FALSE, col.names = FALSE)
